//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Plaintext of TLS libraries, from probes at the entry and the return of their
 * functions. The attach cookie of a probe says which shape its function has
 * (enum op), so one entry and one return program serve all of them.
 */
#include "call.h"
#include "frames.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline u8 direction_of(u8 op)
{
	if (op >= OP_FIRST_SEND && op <= OP_LAST_SEND)
		return DIR_SEND;
	if (op >= OP_FIRST_RECV && op <= OP_LAST_RECV)
		return DIR_RECV;
	return DIR_NONE;
}

static __always_inline int on_entry(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u8 op = cookie;
	u64 handle = REG_ARG1(ctx);
	u64 sp = REG_SP(ctx);
	u64 id = bpf_get_current_pid_tgid();

	if (!handle)
		return 0;
	if (op == OP_FREE || op == OP_CLEAR) {
		end_conn(id, handle, op == OP_CLEAR);
		return 0;
	}

	struct conn_key key = {.tgid = id >> 32, .handle = handle};
	struct conn *c = conn_of(&key);
	if (c) {
		u64 *gen = bpf_map_lookup_elem(&ignored, &key);
		if (gen && *gen == c->gen) {
			struct thread *th = thread_of(id, false);
			if (th && !th->depth)
				th->received = RECEIVED_NOTHING; /* it was for this handle */
			return 0;
		}
	}
	struct thread *th = thread_of(id, true);
	if (!th)
		return 0;
	if (!th->pid)
		return 0; /* not of h2sniff's pid namespace: nobody could name it */
	if (op == OP_CONNECT_NEXT || op == OP_ACCEPT_NEXT) {
		if (!c)
			open_conn(th, id, handle, (cookie & ~0xffull) | (op == OP_CONNECT_NEXT ? OP_CONNECT : OP_ACCEPT));
		return 0;
	}

	if (!drop_dead(th, sp, op, handle))
		return 0;
	u32 depth = th->depth;

	if (!c) {
		c = open_conn(th, id, handle, cookie);
		if (!c)
			return 0;
	}

	u8 dir = direction_of(op);
	u8 counted = dir != DIR_NONE;
	for (u32 i = 0; i < MAX_DEPTH; i++) {
		struct call *outer = call_at(th, i);
		if (!outer || i >= depth)
			break;
		if (outer->handle == handle && outer->dir == dir)
			counted = 0; /* each byte once: the outermost call counts */
	}

	feeds(th, handle, dir);

	struct emission e = {
		.who = who_is(th, id, handle, c->gen), .pos = c->pos[DIR_SEND],
		.kind = RECORD_BEGIN, .dir = DIR_SEND,
	};
	if (counted && dir == DIR_SEND && op != OP_GNUTLS_UNCORK)
		emit_bare(&e, 0);
	if (!e.begin)
		e.begin = bpf_ktime_get_boot_ns();

	struct call *call = call_at(th, depth);
	if (!call)
		return 0;
	call->handle = handle;
	call->gen = c->gen;
	call->buf = REG_ARG2(ctx);
	call->len = REG_ARG3(ctx);
	/* Both are read: the verifier refuses a context offset chosen at run time. */
	u64 arg4 = REG_ARG4(ctx), arg5 = REG_ARG5(ctx);
	asm volatile("" : "+r"(arg4), "+r"(arg5));
	call->out = op == OP_WRITE_EX2 ? arg5 : arg4;
	call->sp = sp;
	call->begin = e.begin;
	call->op = op;
	call->dir = dir;
	call->counted = counted;
	th->depth = depth + 1;
	return 0;
}

/* The octets that a call moved; 0 where it failed or had nothing. */
static __always_inline u64 moved(const struct call *call, u64 ret)
{
	u64 n = 0;
	switch (call->op) {
	case OP_WRITE:
	case OP_READ:
		return (s32)ret > 0 ? (u32)ret : 0;
	case OP_WRITE_EX:
	case OP_WRITE_EX2:
	case OP_READ_EX:
		if ((s32)ret != 1)
			return 0;
		if (bpf_probe_read_user(&n, sizeof(n), (void *)call->out)) {
			count(COUNT_UNREAD, 1);
			return 0;
		}
		return n;
	case OP_GNUTLS_SEND:
	case OP_GNUTLS_SEND2:
	case OP_GNUTLS_RECV:
	case OP_GNUTLS_RECV_PACKET:
	case OP_SENDFILE:
		return (s64)ret > 0 ? ret : 0;
	}
	return 0;
}

static __always_inline bool handshake_done(u8 op, u64 ret)
{
	switch (op) {
	case OP_HANDSHAKE:
	case OP_CONNECT:
	case OP_ACCEPT:
		return (s32)ret == 1;
	case OP_ZERO_HANDSHAKE:
		return (s32)ret == 0;
	}
	return false;
}

/* mbuffer_st as GnuTLS 3.3 to 3.8 lay it out: where the data of a packet lie.
 * 0 where the struct does not agree with the length that the call returned. */
static __always_inline u64 packet_data(u64 packet_ptr, u64 len)
{
	struct {
		u64 next, prev, mark, data;
		u32 size;
	} m = {};
	u64 packet = 0;
	if (bpf_probe_read_user(&packet, sizeof(packet), (void *)packet_ptr) ||
	    bpf_probe_read_user(&m, sizeof(m), (void *)packet))
		return 0;
	if (m.mark > m.size || m.size - m.mark != len)
		return 0;
	return m.data + m.mark;
}

#define GNUTLS_E_AGAIN -28
#define GNUTLS_E_INTERRUPTED -52

static __always_inline int on_return(struct pt_regs *ctx)
{
	u8 op = bpf_get_attach_cookie(ctx);
	u64 ret = REG_RET(ctx);
	u64 sp = REG_SP(ctx) - RET_SP;
	u64 id = bpf_get_current_pid_tgid();
	struct thread *th = thread_of(id, false);

	if (!th)
		return 0; /* the entry was not followed either */
	struct call *call = returned(th, sp, op);
	if (!call)
		return 0; /* its handle is ignored, or it began before the attach */

	struct conn_key key = {.tgid = id >> 32, .handle = call->handle};
	struct conn *c = conn_of(&key);
	if (!c || c->gen != call->gen)
		return 0; /* freed while inside the call */

	u8 dir = call->dir;
	u64 n = moved(call, ret);

	if ((dir == DIR_RECV && n) || handshake_done(op, ret))
		infer_address(th, c, id, call);
	if (!call->counted || (dir != DIR_SEND && dir != DIR_RECV))
		return 0;

	struct emission e = {
		.who = who_is(th, id, call->handle, c->gen), .begin = call->begin,
		.buf = call->buf, .kind = RECORD_DATA, .dir = dir,
	};
	if (!n) {
		if (op == OP_GNUTLS_UNCORK || dir == DIR_RECV)
			return 0;
		bool again = (op == OP_GNUTLS_SEND || op == OP_GNUTLS_SEND2) && call->buf && call->len &&
			     ((s32)ret == GNUTLS_E_AGAIN || (s32)ret == GNUTLS_E_INTERRUPTED);
		if (again) {
			/* GnuTLS keeps a copy and the caller may free its own:
			 * this is the last moment to read it. */
			u64 len = call->len;
			asm volatile("" : "+r"(len));
			e.kind = RECORD_TENTATIVE;
			e.pos = c->pos[DIR_SEND];
			e.n = len > CHUNK ? CHUNK : len;
			EMIT_PIECE(emit_tail, &e);
		}
		e.kind = RECORD_NOTHING;
		e.flags = RECORD_LAST;
		emit_bare(&e, 0);
		return 0;
	}

	/* Two threads never move octets in one direction of one handle at once. */
	e.pos = c->pos[dir & 1];
	c->pos[dir & 1] = e.pos + n;
	if ((op == OP_GNUTLS_SEND || op == OP_GNUTLS_SEND2) && !call->buf) {
		e.kind = RECORD_COMMIT;
		emit_unseen(c, &e, n);
		return 0;
	}
	if (op == OP_SENDFILE) {
		emit_unseen(c, &e, n);
		return 0;
	}
	if (op == OP_GNUTLS_RECV_PACKET) {
		e.buf = packet_data(call->buf, n);
		if (!e.buf) {
			emit_unseen(c, &e, n);
			return 0;
		}
	}
	emit_call(th, c, &e, n);
	return 0;
}

SEC("uprobe")
int entry(struct pt_regs *ctx)
{
	return ending ? 0 : on_entry(ctx);
}

SEC("uretprobe")
int ret(struct pt_regs *ctx)
{
	return ending ? 0 : on_return(ctx);
}
