/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Records about connections and threads: who makes a call, the beginning and
 * the end of a handle, socket evidence.
 */
#ifndef H2SNIFF_RECORD_H
#define H2SNIFF_RECORD_H

#include "op.h"
#include "state.h"

const volatile u32 pidns_inum; /* of h2sniff's own pid namespace; set before loading */

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

/* Global, so that the verifier checks it once. */
__noinline u64 or_now(u64 time) { return time ? time : bpf_ktime_get_boot_ns(); }

/* time is that of the record, 0 is now. */
static __always_inline void fill(struct record *r, u8 kind, const struct who *w, u64 time)
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
	r->time = or_now(time); /* after the reserve, or order and time disagree */
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

/* A process has ended, at a time or, with 0, now, or executes another program.
 * Where that cannot be told it stays noted. */
static __always_inline void end_process(u64 thread, u64 time)
{
	u32 tgid = thread >> 32;
	struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count(COUNT_DROPPED, 1);
		time = or_now(time);
		bpf_map_update_elem(&processes, &tgid, &time, BPF_ANY);
		return;
	}
	struct who w = {.thread = thread};
	fill(r, RECORD_PROCESS, &w, time);
	submit(r);
	bpf_map_delete_elem(&processes, &tgid);
}

/* The calling process has connections. */
static __noinline void note_process(u64 thread)
{
	u32 tgid = thread >> 32;
	u64 none = 0, *ended = bpf_map_lookup_elem(&processes, &tgid);
	if (ended && *ended)
		end_process(thread, *ended); /* of what had the id before */
	bpf_map_update_elem(&processes, &tgid, &none, BPF_NOEXIST);
}

__attribute__((unused)) static __noinline struct conn *open_conn(struct thread *th, u64 thread, u64 handle, u64 cookie)
{
	struct conn_key key = {.tgid = thread >> 32, .handle = handle};
	u8 op = cookie;
	struct conn fresh = {.gen = bpf_ktime_get_boot_ns()};
	bool begins = op >= OP_HANDSHAKE && op <= OP_ZERO_HANDSHAKE;

	if (!th)
		return 0;
	if (begins)
		fresh.frames[0].state = fresh.frames[1].state = FRAMES_START;
	note_process(thread);
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_NOEXIST)) {
		count(COUNT_NO_STATE, 1);
		return 0;
	}
	struct who w = who_is(th, thread, handle, fresh.gen);
	struct open_record *o = bpf_ringbuf_reserve(&events, sizeof(*o), 0);
	if (o) {
		struct task_struct *task = (void *)bpf_get_current_task();
		fill(&o->r, RECORD_OPEN, &w, 0);
		BPF_CORE_READ_INTO(&o->comm, task, group_leader, comm);
		o->library = cookie >> COOKIE_LIBRARY;
		o->role = op == OP_CONNECT ? 1 : op == OP_ACCEPT ? 2 : 0;
		o->fresh = begins;
		o->pad = 0;
		submit(o);
	} else {
		count(COUNT_DROPPED, 1);
	}
	return conn_of(&key);
}

/* A function of its own: callers in long chains have no stack for it (Linux 6.1). */
__attribute__((unused)) static __noinline void lose_close(const struct who *w, struct conn *c)
{
	struct lost_key which = {.tgid = w->thread >> 32, .handle = w->handle, .gen = w->gen};
	struct lost_close lost = {
		.pos = {c->pos[0], c->pos[1]}, .time = bpf_ktime_get_boot_ns(),
		.pid = w->pid, .tid = w->tid,
	};
	count(COUNT_DROPPED, 1);
	if (bpf_map_update_elem(&lost_closes, &which, &lost, BPF_ANY))
		count(COUNT_NO_STATE, 1);
}

/* A connection ends. */
static __always_inline void tell_close(const struct who *w, struct conn_key *key, struct conn *c)
{
	struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (r) {
		fill(r, RECORD_CLOSE, w, 0);
		r->pos = c->pos[DIR_SEND];
		r->len = c->pos[DIR_RECV];
		submit(r);
	} else {
		lose_close(w, c);
	}
	bpf_map_delete_elem(&conns, key);
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
	struct who w = {.thread = thread, .handle = handle, .gen = c->gen};
	if (th)
		w = who_is(th, thread, handle, c->gen);
	tell_close(&w, &key, c);
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
	fill(&r->r, RECORD_ADDRESS, &w, 0);
	r->a = *a;
	r->nested = nested;
	__builtin_memset(r->pad, 0, sizeof(r->pad));
	submit(r);
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

#endif
