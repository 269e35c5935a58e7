//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * What serves all families: sockets that threads receive on, which is evidence
 * of a handle's addresses, and the ends of threads and processes.
 */
#include "record.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Fires in the receiver's own context for every receive that took data. */
SEC("tp_btf/tcp_rcv_space_adjust")
int receive(u64 *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	if (ending || !th)
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
	if (ending)
		return;
	if (th && th->depth && !whole_process) {
		struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
		if (r) {
			struct who w = who_is(th, id, 0, 0);
			fill(r, RECORD_THREAD, &w, 0);
			submit(r);
		} else {
			count(COUNT_DROPPED, 1);
		}
	}
	if (th)
		bpf_map_delete_elem(&threads, &id);
	if (!whole_process || !bpf_map_lookup_elem(&processes, &tgid))
		return;
	end_process(id, 0);
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
