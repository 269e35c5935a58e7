/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The calls that a thread is inside, one in another.
 */
#ifndef H2SNIFF_CALL_H
#define H2SNIFF_CALL_H

#include "record.h"

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

/* Leaves the calls that a new one at that stack pointer is inside. False where
 * they are too many. */
static __always_inline bool drop_dead(struct thread *th, u64 sp, u8 op, u64 handle)
{
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
		return false;
	}
	return true;
}

/* A call on a handle begins: after the thread's last receive, for memory BIOs,
 * it may be the first. */
static __always_inline void feeds(struct thread *th, u64 handle, u8 dir)
{
	if (th->depth || !th->received)
		return;
	if (th->received == RECEIVED_SEVERAL) {
		th->received = RECEIVED_NOTHING;
	} else if (!th->owner) {
		th->owner = handle;
		th->feeds = dir != DIR_SEND;
	} else if (th->owner != handle) {
		th->received = RECEIVED_NOTHING;
	}
}

/* The call of that shape that returns to the stack pointer, 0 where its
 * beginning was not followed. */
static __always_inline struct call *returned(struct thread *th, u64 sp, u8 op)
{
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
	if (call)
		th->depth = depth;
	return call;
}

/* An outermost call has taken input, or ended a handshake: what the thread
 * received last was for its handle. */
static __always_inline void infer_address(struct thread *th, struct conn *c, u64 id, const struct call *call)
{
	if (th->depth || !th->received || !th->feeds || th->owner != call->handle || c->exact || c->inferred == th->last.cookie)
		return;
	c->inferred = th->last.cookie;
	emit_address(th, id, call->handle, c->gen, &th->last, false);
}

#endif
