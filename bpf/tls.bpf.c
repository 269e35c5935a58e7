//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Plaintext of TLS libraries, from probes at the entry and the return of their
 * functions. The attach cookie of a probe says which shape its function has
 * (enum op), so one entry and one return program serve all of them.
 */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "event.h"
#include "op.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile bool sleepable;	    /* programs may fault pages in */
const volatile u32 pidns_inum;	    /* of h2sniff's own pid namespace */
const volatile u64 wakeup_bytes;    /* queued octets that wake the reader at once */

#define MAX_DEPTH 8 /* a power of two: indices are masked with it */
#define CHUNK 16384u
#define MAX_CHUNKS 256 /* 4 MiB of one call are copied; the rest is counted */

struct call {
	u64 handle, gen;
	u64 buf, len, out; /* out: where the function stores its byte count */
	u64 sp;		   /* at entry: tells live calls from ones that never returned */
	u64 begin;
	u8 op, dir, counted, pad[5];
};

enum {
	RECEIVED_NOTHING,
	RECEIVED_ONE,	  /* last: no TLS call on two handles since */
	RECEIVED_SEVERAL, /* from several sockets without a TLS call between */
};

struct thread {
	u32 pid, tid; /* in h2sniff's pid namespace */
	u32 depth;
	u8 received; /* RECEIVED_*: what last says of the next TLS call */
	u8 feeds;    /* the first TLS call since then was one that takes input */
	u8 pad[2];
	u64 owner; /* handle of the first TLS call since the last receive */
	struct address last;
	struct call calls[MAX_DEPTH];
};

struct conn_key {
	u64 tgid; /* initial pid namespace */
	u64 handle;
};

struct conn {
	u64 gen;
	u64 pos[2];
	u64 exact;    /* cookie of the socket last bound */
	u64 inferred;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 26); /* resized before loading */
} events SEC(".maps");

/* Preallocated: sleepable programs on older kernels take no other hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, struct conn_key);
	__type(value, struct conn);
} conns SEC(".maps");

/* Handles that do not speak HTTP/2, written by h2sniff: value is their gen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct conn_key);
	__type(value, u64);
} ignored SEC(".maps");

/* Processes that have connections, so that the exit of others costs little. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, u8);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* Go's structs (event.go) have these sizes. */
_Static_assert(sizeof(struct record) == 64, "record");
_Static_assert(sizeof(struct open_record) == 88, "open_record");
_Static_assert(sizeof(struct address_record) == 120, "address_record");
_Static_assert(sizeof(struct conn) == 40, "conn");

static __always_inline void count(u32 which, u64 n)
{
	u64 *c = bpf_map_lookup_elem(&counters, &which);
	if (c)
		__sync_fetch_and_add(c, n); /* uprobe programs can be preempted */
}

static __always_inline void submit(void *record)
{
	/* The reader polls every few ms; a wake-up per record would cost more
	 * than the copy. */
	u64 queued = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(record, queued >= wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

#define MAX_PIDNS_LEVEL 32 /* MAX_PID_NS_LEVEL, linux/pid_namespace.h */

/* The task's id in h2sniff's pid namespace; 0 where it has none there. Its
 * depth cannot be had from inside a container, so each level is compared. */
static __noinline u32 local_pid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	/* numbers is a flexible array: its element size is the kernel's, not ours. */
	void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);
	for (u32 i = 0; i <= MAX_PIDNS_LEVEL; i++) {
		if (i > level)
			break;
		struct upid *upid = numbers + (u64)i * bpf_core_type_size(struct upid);
		struct pid_namespace *ns = BPF_CORE_READ(upid, ns);
		if (BPF_CORE_READ(ns, ns.inum) == pidns_inum)
			return BPF_CORE_READ(upid, nr);
	}
	return 0;
}

static __always_inline struct thread *thread_of(u64 id, bool create)
{
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	if (th || !create)
		return th;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	static const struct thread zero;
	bpf_map_update_elem(&threads, &id, &zero, BPF_NOEXIST);
	th = bpf_map_lookup_elem(&threads, &id);
	if (!th) {
		count(COUNT_NO_STATE, 1);
		return 0;
	}
	th->pid = local_pid(leader);
	th->tid = local_pid(task);
	return th;
}

/* The mask is written in assembler: clang 14 can prove it superfluous and would
 * drop it or move the address before the check, and the verifier, which bounds
 * the index by it, would refuse the access. */
static __always_inline struct call *call_at(struct thread *th, u64 i)
{
	if (i >= MAX_DEPTH)
		return 0;
	asm volatile("%0 &= %1" : "+r"(i) : "i"(MAX_DEPTH - 1));
	return &th->calls[i];
}

struct who {
	u64 thread, handle, gen;
	u32 pid, tid;
	u8 depth;
};

static __always_inline void fill(struct record *r, u8 kind, const struct who *w)
{
	r->kind = kind;
	r->dir = DIR_NONE;
	r->flags = 0;
	r->depth = w->depth;
	r->copied = 0;
	r->pid = w->pid;
	r->tid = w->tid;
	r->thread = w->thread;
	r->handle = w->handle;
	r->gen = w->gen;
	r->time = bpf_ktime_get_boot_ns(); /* after the reserve, or order and time disagree */
	r->pos = 0;
	r->len = 0;
}

static __always_inline struct who who_is(const struct thread *th, u64 thread, u64 handle, u64 gen)
{
	return (struct who){
		.thread = thread, .handle = handle, .gen = gen,
		.pid = th->pid, .tid = th->tid, .depth = th->depth,
	};
}

static __always_inline struct conn *conn_of(struct conn_key *key)
{
	return bpf_map_lookup_elem(&conns, key);
}

static __noinline struct conn *open_conn(struct thread *th, u64 thread, u64 handle, u64 cookie)
{
	struct conn_key key = {.tgid = thread >> 32, .handle = handle};
	u32 tgid = thread >> 32;
	u8 one = 1;
	struct conn fresh = {.gen = bpf_ktime_get_boot_ns()};

	if (!th)
		return 0;
	bpf_map_update_elem(&processes, &tgid, &one, BPF_ANY);
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_NOEXIST)) {
		count(COUNT_NO_STATE, 1);
		return 0;
	}
	struct who w = who_is(th, thread, handle, fresh.gen);
	struct open_record *o = bpf_ringbuf_reserve(&events, sizeof(*o), 0);
	if (o) {
		struct task_struct *task = (void *)bpf_get_current_task();
		u8 op = cookie;
		fill(&o->r, RECORD_OPEN, &w);
		BPF_CORE_READ_INTO(&o->comm, task, group_leader, comm);
		o->library = cookie >> COOKIE_LIBRARY;
		o->role = op == OP_CONNECT ? 1 : op == OP_ACCEPT ? 2 : 0;
		o->fresh = op >= OP_HANDSHAKE && op <= OP_GNUTLS_HANDSHAKE;
		o->pad = 0;
		submit(o);
	} else {
		count(COUNT_DROPPED, 1);
	}
	return conn_of(&key);
}

/* The handle is gone, or (SSL_clear) begins a new connection. */
static __always_inline void end_conn(u64 thread, u64 handle, bool clear)
{
	struct conn_key key = {.tgid = thread >> 32, .handle = handle};
	struct conn *c = conn_of(&key);
	if (!c)
		return;
	/* Handshakes clear a handle that has moved nothing yet. */
	if (clear && !c->pos[0] && !c->pos[1])
		return;
	struct thread *th = thread_of(thread, true);
	struct record *r = th ? bpf_ringbuf_reserve(&events, sizeof(*r), 0) : 0;
	if (r) {
		struct who w = who_is(th, thread, handle, c->gen);
		fill(r, RECORD_CLOSE, &w);
		r->pos = c->pos[DIR_SEND];
		r->len = c->pos[DIR_RECV];
		submit(r);
	} else {
		count(COUNT_DROPPED, 1);
	}
	bpf_map_delete_elem(&conns, &key);
}

static __always_inline void emit_address(struct thread *th, u64 thread, u64 handle, u64 gen,
					 const struct address *a, bool nested)
{
	struct address_record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count(COUNT_DROPPED, 1);
		return;
	}
	struct who w = who_is(th, thread, handle, gen);
	fill(&r->r, RECORD_ADDRESS, &w);
	r->a = *a;
	r->nested = nested;
	__builtin_memset(r->pad, 0, sizeof(r->pad));
	submit(r);
}

struct emission {
	struct who who;
	u64 begin, buf, pos;
	u32 n; /* octets of this piece, at most CHUNK */
	u8 kind, dir, flags;
	u8 may_fault; /* pages that are not there are not given up yet */
};

/*
 * The emit functions are global: the verifier checks each once, by itself, not
 * once for each turn of the loop that calls it (88,000 instructions in
 * all against 663,000, of the million that it allows).
 */

/* One piece as one record of the size class CLASS. Returns from the function
 * with 1, and nothing emitted, where a page is not there and can be faulted in.
 * clang 14 drops bounds that it can prove, so the bound that the verifier needs
 * is kept opaque. */
#define EMIT(CLASS)                                                                        \
	{                                                                                  \
		struct {                                                                   \
			struct record r;                                                   \
			u8 data[CLASS];                                                    \
		} *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);                    \
		if (!rec) {                                                                \
			count(COUNT_DROPPED, 1);                                           \
			count(COUNT_DROPPED_BYTES, e->n);                                  \
			return 0;                                                          \
		}                                                                          \
		u32 n = e->n;                                                              \
		asm volatile("" : "+r"(n));                                                \
		if (n > CLASS)                                                             \
			n = CLASS;                                                         \
		fill(&rec->r, e->kind, &e->who);                                           \
		rec->r.dir = e->dir;                                                       \
		rec->r.flags = e->flags;                                                   \
		rec->r.pos = e->pos;                                                       \
		rec->r.len = e->n;                                                         \
		if (e->dir == DIR_SEND)                                                    \
			rec->r.time = e->begin;                                            \
		if (!bpf_probe_read_user(rec->data, n, (void *)e->buf)) {                  \
			rec->r.copied = n;                                                 \
		} else if (e->may_fault) {                                                 \
			bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);                        \
			return 1;                                                          \
		} else {                                                                   \
			count(COUNT_FAULTS, 1); /* its length still counts */              \
		}                                                                          \
		submit(rec);                                                               \
		return 0;                                                                  \
	}

__noinline int emit_full(struct emission *e)
{
	if (!e)
		return 0;
	EMIT(CHUNK);
}

__noinline int emit_tail(struct emission *e)
{
	if (!e)
		return 0;
	if (e->n <= 128)
		EMIT(128)
	if (e->n <= 512)
		EMIT(512)
	if (e->n <= 2048)
		EMIT(2048)
	if (e->n <= 8192)
		EMIT(8192)
	EMIT(CHUNK)
}

/* A record without data: a call's beginning or fruitless end, or octets that
 * are known of but not copied. */
__noinline int emit_bare(struct emission *e, u64 len)
{
	if (!e)
		return 0;
	struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count(COUNT_DROPPED, 1);
		count(COUNT_DROPPED_BYTES, e->kind == RECORD_DATA || e->kind == RECORD_COMMIT ? len : 0);
		return 0;
	}
	fill(r, e->kind, &e->who);
	r->dir = e->dir;
	r->flags = e->flags;
	r->pos = e->pos;
	r->len = len;
	if (e->kind == RECORD_BEGIN)
		e->begin = r->time;
	else if (e->dir == DIR_SEND)
		r->time = e->begin;
	submit(r);
	return 0;
}

/* Faults the pages of a piece of n octets in, while no record is held: a record
 * held during a fault would stall the reader. What cannot be read now is found
 * out by reading it again. */
static __always_inline void fault_in(u64 buf, u64 n)
{
	char byte;
	for (u32 i = 0; i < CHUNK / 4096; i++)
		if (i * 4096u < n)
			bpf_copy_from_user(&byte, 1, (void *)(buf + i * 4096u));
	bpf_copy_from_user(&byte, 1, (void *)(buf + n - 1));
}

/* The faulting is here and not in the emit functions: a global function that
 * may sleep is refused in programs that may not, reached or not. */
#define EMIT_PIECE(EMIT_FUNCTION, e)                  \
	({                                            \
		(e)->may_fault = sleepable;           \
		if (EMIT_FUNCTION(e) && sleepable) {  \
			fault_in((e)->buf, (e)->n);   \
			(e)->may_fault = false;       \
			EMIT_FUNCTION(e);             \
		}                                     \
	})

/* A whole call of len octets, in pieces. */
static __always_inline void emit_call(struct emission *e, u64 len)
{
	u64 left = len;
	for (int i = 0; i < MAX_CHUNKS; i++) {
		if (left <= CHUNK)
			break;
		e->n = CHUNK;
		EMIT_PIECE(emit_full, e);
		e->buf += CHUNK;
		e->pos += CHUNK;
		left -= CHUNK;
	}
	e->flags = RECORD_LAST;
	if (left > CHUNK) {
		emit_bare(e, left);
		return;
	}
	e->n = left;
	EMIT_PIECE(emit_tail, e);
}

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

	/* Calls that never returned (longjmp, a missed return probe) lie below
	 * the stack pointer. At the same stack pointer only the tail jump from
	 * gnutls_record_send to gnutls_record_send2 is alive. */
	u32 depth = th->depth;
	for (int i = 0; i < MAX_DEPTH; i++) {
		struct call *top = call_at(th, depth - 1);
		if (!top || top->sp > sp)
			break;
		if (top->sp == sp && top->op == OP_GNUTLS_SEND && op == OP_GNUTLS_SEND2 && top->handle == handle)
			break;
		depth--;
	}
	th->depth = depth;
	if (depth >= MAX_DEPTH) {
		count(COUNT_TOO_DEEP, 1);
		return 0;
	}

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

	/* Adjacency of the thread's last receive, for memory BIOs. */
	if (depth == 0 && th->received) {
		if (th->received == RECEIVED_SEVERAL) {
			th->received = RECEIVED_NOTHING;
		} else if (!th->owner) {
			th->owner = handle;
			th->feeds = dir != DIR_SEND;
		} else if (th->owner != handle) {
			th->received = RECEIVED_NOTHING;
		}
	}

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
			count(COUNT_FAULTS, 1);
			return 0;
		}
		return n;
	case OP_GNUTLS_SEND:
	case OP_GNUTLS_SEND2:
	case OP_GNUTLS_RECV:
	case OP_GNUTLS_RECV_PACKET:
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
	case OP_GNUTLS_HANDSHAKE:
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
	u32 depth = th->depth;
	struct call *call = 0;
	for (int i = 0; i < MAX_DEPTH; i++) {
		struct call *top = call_at(th, depth - 1);
		if (!top || top->sp > sp)
			break; /* none left, or an outer call that is still running */
		depth--;
		if (top->sp == sp && top->op == op) {
			call = top;
			break;
		}
	}
	if (!call)
		return 0; /* its handle is ignored, or it began before the attach */
	th->depth = depth;

	struct conn_key key = {.tgid = id >> 32, .handle = call->handle};
	struct conn *c = conn_of(&key);
	if (!c || c->gen != call->gen)
		return 0; /* freed while inside the call */

	u8 dir = call->dir;
	u64 n = moved(call, ret);

	if (depth == 0 && th->received && th->feeds && th->owner == call->handle && !c->exact &&
	    ((dir == DIR_RECV && n) || handshake_done(op, ret)) && c->inferred != th->last.cookie) {
		c->inferred = th->last.cookie;
		emit_address(th, id, call->handle, c->gen, &th->last, false);
	}
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
		e.flags = RECORD_LAST;
		emit_bare(&e, n);
		return 0;
	}
	if (op == OP_GNUTLS_RECV_PACKET) {
		e.buf = packet_data(call->buf, n);
		if (!e.buf) {
			e.flags = RECORD_LAST;
			emit_bare(&e, n);
			return 0;
		}
	}
	emit_call(&e, n);
	return 0;
}

SEC("uprobe")
int entry(struct pt_regs *ctx)
{
	return on_entry(ctx);
}

SEC("uretprobe")
int ret(struct pt_regs *ctx)
{
	return on_return(ctx);
}

static __always_inline void read_address(struct sock *sk, struct address *a)
{
	__builtin_memset(a, 0, sizeof(*a));
	a->cookie = bpf_get_socket_cookie(sk);
	a->family = sk->__sk_common.skc_family;
	a->local_port = sk->__sk_common.skc_num;
	a->remote_port = __builtin_bswap16(sk->__sk_common.skc_dport);
	if (a->family == AF_INET6) {
		BPF_CORE_READ_INTO(&a->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&a->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		__builtin_memcpy(a->local, &(u32){sk->__sk_common.skc_rcv_saddr}, 4);
		__builtin_memcpy(a->remote, &(u32){sk->__sk_common.skc_daddr}, 4);
	}
}

/* Fires in the receiver's own context for every receive that took data. */
SEC("tp_btf/tcp_rcv_space_adjust")
int receive(u64 *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	if (!th)
		return 0;
	struct sock *sk = (void *)ctx[0];

	if (th->depth == 0) {
		if (th->received == RECEIVED_SEVERAL)
			return 0;
		if (th->received && !th->owner && th->last.cookie != bpf_get_socket_cookie(sk)) {
			/* The handle that is fed next may belong to either. */
			th->received = RECEIVED_SEVERAL;
			return 0;
		}
		read_address(sk, &th->last);
		th->owner = 0;
		th->feeds = 0;
		th->received = RECEIVED_ONE;
		return 0;
	}
	u64 handle = th->calls[0].handle;
	struct conn_key key = {.tgid = id >> 32, .handle = handle};
	struct conn *c = conn_of(&key);
	if (!c || c->gen != th->calls[0].gen)
		return 0;
	u64 cookie = bpf_get_socket_cookie(sk);
	if (c->exact == cookie)
		return 0;
	c->exact = cookie;
	struct address a;
	read_address(sk, &a);
	emit_address(th, id, handle, c->gen, &a, true);
	return 0;
}

static __always_inline void forget_thread(u64 id, bool whole_process)
{
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	u32 tgid = id >> 32;
	if (th && th->depth && !whole_process) {
		struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
		if (r) {
			struct who w = who_is(th, id, 0, 0);
			fill(r, RECORD_THREAD, &w);
			submit(r);
		} else {
			count(COUNT_DROPPED, 1);
		}
	}
	if (th)
		bpf_map_delete_elem(&threads, &id);
	if (!whole_process || !bpf_map_lookup_elem(&processes, &tgid))
		return;
	struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count(COUNT_DROPPED, 1);
		return;
	}
	struct who w = {.thread = id};
	fill(r, RECORD_PROCESS, &w);
	bpf_map_delete_elem(&processes, &tgid);
	submit(r);
}

SEC("raw_tracepoint/sched_process_exit")
int process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	/* The last thread has already left the count when this fires. */
	forget_thread(bpf_get_current_pid_tgid(), BPF_CORE_READ(task, signal, live.counter) == 0);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int process_exec(u64 *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	/* A thread that is not the leader takes the leader's id as it executes. */
	u64 before = (id >> 32 << 32) | (u32)ctx[1];
	if (before != id)
		bpf_map_delete_elem(&threads, &before);
	forget_thread(id, true);
	return 0;
}
