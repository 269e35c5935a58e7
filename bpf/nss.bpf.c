//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Plaintext of NSS, from the functions by which NSPR reads and writes any
 * descriptor. A descriptor is a stack of layers; what moves on one that has
 * NSS's layer in its stack is plaintext.
 */
#include "call.h"
#include "frames.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* PRFileDesc (prio.h): one layer. */
struct layer {
	u64 methods, secret, lower, higher, dtor;
	s32 identity;
	u32 pad;
};

#define MAX_LAYERS 8

/* PRIOVec. */
struct vector {
	u64 base;
	s32 len;
	u32 pad;
};

#define MAX_VECTORS 16	     /* PR_MAX_IOVECTOR_SIZE */
#define MAX_VECTOR_STEPS 272 /* 4 MiB of one call are copied; the rest is counted */

#define PR_MSG_PEEK 2

/* Where NSS's data lie in a process, by its pid in h2sniff's pid namespace:
 * what the methods of its layers point to. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct nss_data);
} nss_processes SEC(".maps");

static __always_inline bool read_layer(struct layer *l, u64 fd)
{
	if (!bpf_probe_read_user(l, sizeof(*l), (void *)fd))
		return true;
	if (sleepable && !bpf_copy_from_user(l, sizeof(*l), (void *)fd))
		return true;
	count(COUNT_UNREAD, 1);
	return false;
}

/* The lowest layer, NSPR's own, has no identity; where NSPR and NSS are one
 * library its methods lie in the same data. */
static __always_inline bool is_nss(const struct layer *l, const struct nss_data *data)
{
	return l->lower && l->identity > 0 && l->methods >= data->start && l->methods < data->end;
}

/* NSS's own struct behind a descriptor, 0 where it is not of TLS: the handle of
 * the connection. A descriptor's address is that of another layer when one is
 * pushed or popped, or when a layer calls NSPR for the one below it. */
static __always_inline u64 handle_of(u64 fd, const struct nss_data *data)
{
	for (u32 i = 0; i < MAX_LAYERS; i++) {
		struct layer l = {};
		if (!fd || !read_layer(&l, fd))
			return 0;
		if (is_nss(&l, data))
			return l.secret;
		fd = l.lower;
	}
	return 0;
}

static __always_inline u8 nss_direction(u8 op, u64 flags)
{
	switch (op) {
	case OP_NSPR_WRITE:
	case OP_NSPR_WRITEV:
		return DIR_SEND;
	case OP_NSPR_RECV:
		return (flags & PR_MSG_PEEK) ? DIR_NONE : DIR_RECV;
	case OP_NSPR_READ:
		return DIR_RECV;
	}
	return DIR_NONE;
}

SEC("uprobe")
int nss_entry(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u8 op = cookie;
	u64 fd = REG_ARG1(ctx), sp = REG_SP(ctx);
	u64 buf = REG_ARG2(ctx), len = REG_ARG3(ctx), flags = REG_ARG4(ctx);
	u64 id = bpf_get_current_pid_tgid();

	if (ending)
		return 0;
	if (op == OP_NSS_IMPORT)
		return 0;
	struct thread *th = thread_of(id, true);
	if (!th || !th->pid)
		return 0; /* not of h2sniff's pid namespace: nobody could name it */
	u32 pid = th->pid;
	struct nss_data *data = bpf_map_lookup_elem(&nss_processes, &pid);
	if (!data)
		return 0;
	u64 handle = handle_of(fd, data), library = (u64)data->library << COOKIE_LIBRARY;
	if (!handle)
		return 0;
	if (op == OP_FREE || op == OP_NSS_RESET) {
		end_conn(id, handle, false);
		/* A descriptor can have spoken with a proxy before. */
		if (op == OP_NSS_RESET)
			open_conn(th, id, handle, (u32)buf ? OP_ACCEPT | library : OP_CONNECT | library);
		return 0;
	}
	struct conn_key key = {.tgid = id >> 32, .handle = handle};
	struct conn *c = conn_of(&key);
	if (c) {
		u64 *gen = bpf_map_lookup_elem(&ignored, &key);
		if (gen && *gen == c->gen)
			return 0;
	}
	if (!drop_dead(th, sp, op, handle))
		return 0;
	u32 depth = th->depth;
	if (!c) {
		c = open_conn(th, id, handle, OP_OTHER | library);
		if (!c)
			return 0;
	}

	/* Layers call NSPR for those below them: the outermost call counts. */
	u8 dir = nss_direction(op, flags), counted = dir != DIR_NONE;
	for (u32 i = 0; i < MAX_DEPTH; i++) {
		struct call *outer = call_at(th, i);
		if (!outer || i >= depth)
			break;
		if (outer->op >= OP_NSPR_WRITE && outer->op <= OP_NSPR_RECV && outer->dir == dir)
			counted = 0;
	}
	feeds(th, handle, dir);
	struct emission e = {
		.who = who_is(th, id, handle, c->gen), .pos = c->pos[DIR_SEND],
		.kind = RECORD_BEGIN, .dir = DIR_SEND,
	};
	if (counted && dir == DIR_SEND)
		emit_bare(&e, 0);
	if (!e.begin)
		e.begin = bpf_ktime_get_boot_ns();

	struct call *call = call_at(th, depth);
	if (!call)
		return 0;
	call->handle = handle;
	call->gen = c->gen;
	call->buf = buf;
	call->len = len;
	call->out = 0;
	call->sp = sp;
	call->begin = e.begin;
	call->op = op;
	call->dir = dir;
	call->counted = counted;
	th->depth = depth + 1;
	return 0;
}

/* A walk over what PR_Writev has sent. */
struct vectors {
	struct emission e;
	u64 at, more;  /* the vectors that follow */
	u64 cur, room; /* the rest of this one */
	u64 total;     /* octets that are still to be told of */
};

/* One step: the next vector or the next piece. Not 0 at the end. Global, so that
 * the verifier checks it once. The pages have just been read by the program. */
__noinline int vector_step(struct vectors *w)
{
	if (!w || !w->total)
		return 1;
	if (!w->room) {
		struct vector v = {};
		if (!w->more)
			return 1;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)w->at))
			return 1;
		w->at += sizeof(v);
		w->more--;
		w->cur = v.base;
		w->room = v.len > 0 ? v.len : 0;
		return 0;
	}
	u64 n = w->room < w->total ? w->room : w->total;
	if (n > CHUNK)
		n = CHUNK;
	w->e.n = n;
	w->e.buf = w->cur;
	w->e.flags = n == w->total ? RECORD_LAST : 0;
	w->e.may_fault = 0;
	emit_tail(&w->e);
	w->e.pos += n;
	w->cur += n;
	w->room -= n;
	w->total -= n;
	return 0;
}

/* Not inlined: before Linux 6.10 or so the stacks of all functions in a chain of
 * calls are added up, and others have little left. */
static __noinline void emit_vectors(const struct emission *e, u64 vectors, u64 n)
{
	struct vectors w = {.e = *e, .at = vectors, .more = MAX_VECTORS, .total = n};
	for (u32 i = 0; i < MAX_VECTOR_STEPS; i++)
		if (vector_step(&w))
			break;
	if (w.total) {
		w.e.flags = RECORD_LAST;
		emit_bare(&w.e, w.total);
	}
}

/* SSL_ImportFD has put NSS's layer on top of a descriptor. */
static __always_inline void imported(u64 id, u64 fd, u32 library)
{
	struct thread *th = thread_of(id, true);
	struct layer l = {};
	if (!fd || !th || !th->pid || !read_layer(&l, fd))
		return;
	u32 pid = th->pid;
	struct nss_data data = {.start = l.methods, .end = l.methods + 1, .library = library};
	bpf_map_update_elem(&nss_processes, &pid, &data, BPF_NOEXIST);
	end_conn(id, l.secret, false); /* memory is used again */
	open_conn(th, id, l.secret, OP_HANDSHAKE | (u64)library << COOKIE_LIBRARY);
}

SEC("uretprobe")
int nss_return(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u8 op = cookie;
	u64 ret = REG_RET(ctx), sp = REG_SP(ctx) - RET_SP;
	u64 id = bpf_get_current_pid_tgid();

	if (ending)
		return 0;
	if (op == OP_NSS_IMPORT) {
		imported(id, ret, cookie >> COOKIE_LIBRARY);
		return 0;
	}
	struct thread *th = thread_of(id, false);
	if (!th)
		return 0; /* the entry was not followed either */
	struct call *call = returned(th, sp, op);
	if (!call)
		return 0; /* not of TLS, or it began before the attach */
	struct conn_key key = {.tgid = id >> 32, .handle = call->handle};
	struct conn *c = conn_of(&key);
	if (!c || c->gen != call->gen)
		return 0; /* closed while inside the call */

	u8 dir = call->dir;
	u64 n = dir != DIR_NONE && (s32)ret > 0 ? (u32)ret : 0;
	if ((dir == DIR_RECV && n) || (op == OP_ZERO_HANDSHAKE && !(s32)ret))
		infer_address(th, c, id, call);
	if (!call->counted || (dir != DIR_SEND && dir != DIR_RECV))
		return 0;
	struct emission e = {
		.who = who_is(th, id, call->handle, c->gen), .begin = call->begin,
		.buf = call->buf, .kind = RECORD_DATA, .dir = dir,
	};
	if (!n) {
		if (dir == DIR_SEND) {
			e.kind = RECORD_NOTHING;
			e.flags = RECORD_LAST;
			emit_bare(&e, 0);
		}
		return 0;
	}
	/* Two threads never move octets in one direction of one handle at once. */
	e.pos = c->pos[dir & 1];
	c->pos[dir & 1] = e.pos + n;
	if (op == OP_NSPR_WRITEV) {
		if (headers_only) /* frames are not followed through vectors */
			frames_lost(&c->frames[dir & 1]);
		emit_vectors(&e, call->buf, n);
	} else {
		emit_call(th, c, &e, n);
	}
	return 0;
}
