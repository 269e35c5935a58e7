/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The calls that a goroutine is inside, one in another.
 *
 * A call is known by its goroutine and its frame, not by its thread: goroutines
 * move between threads, and their stacks in memory. The distance of the frame
 * from the stack's upper end stays the same.
 */
#ifndef H2SNIFF_GOROUTINE_H
#define H2SNIFF_GOROUTINE_H

#include "emit.h"

#define MAX_GO_DEPTH 4 /* a power of two: indices are masked with it */

struct go_call {
	u64 handle, gen;
	u64 buf, len;
	u64 pos;   /* of its first octet */
	u64 data;  /* where its octets are */
	u64 frame; /* below the upper end of the stack */
	u32 library;
	u8 op;
	u8 told;     /* the octets of this Write were emitted as it began */
	u8 on_stack; /* buf counts from the upper end of the stack down */
	u8 pad;
};

struct goroutine {
	u64 depth;
	struct go_call calls[MAX_GO_DEPTH];
};

struct goroutine_key {
	u64 tgid; /* initial pid namespace */
	u64 g;	  /* address of runtime.g */
};

/* Goroutines inside a call. LRU: what processes that ended have left goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct goroutine_key);
	__type(value, struct goroutine);
} goroutines SEC(".maps");

static __always_inline struct go_call *go_call_at(struct goroutine *gr, u64 i)
{
	if (i >= MAX_GO_DEPTH)
		return 0;
	asm volatile("%0 &= %1" : "+r"(i) : "i"(MAX_GO_DEPTH - 1));
	return &gr->calls[i];
}

/*
 * These two are global: the verifier checks each once, by itself, and not what
 * follows for every way through them.
 */

/* Leaves the calls above a frame that begins: those that a panic has left are
 * not. Returns whether one of them is on the handle. */
__noinline int go_unwind(struct goroutine *gr, u64 frame, u64 handle)
{
	int inside = 0;
	if (!gr)
		return 0;
	u64 depth = gr->depth;
	for (int i = 0; i < MAX_GO_DEPTH; i++) {
		struct go_call *top = go_call_at(gr, depth - 1);
		if (!top || top->frame < frame)
			break;
		depth--;
	}
	for (u64 i = 0; i < MAX_GO_DEPTH; i++) {
		struct go_call *outer = go_call_at(gr, i);
		if (!outer || i >= depth)
			break;
		if (outer->handle == handle)
			inside = 1;
	}
	gr->depth = depth;
	return inside;
}

/* Takes the call out that returns from a frame. */
__noinline int go_pop(struct goroutine *gr, u64 frame, u32 op, struct go_call *call)
{
	if (!gr || !call)
		return 0;
	u64 depth = gr->depth;
	for (int i = 0; i < MAX_GO_DEPTH; i++) {
		struct go_call *top = go_call_at(gr, depth - 1);
		if (!top || top->frame < frame)
			break;
		depth--;
		if (top->frame == frame && top->op == op) {
			*call = *top;
			break;
		}
	}
	gr->depth = depth;
	return 0;
}

/* runtime.g begins with the bounds of its stack. */
struct stack {
	u64 lo, hi;
};

static __always_inline bool stack_of(u64 g, struct stack *s)
{
	if (!bpf_probe_read_user(s, sizeof(*s), (void *)g))
		return true;
	if (sleepable && !bpf_copy_from_user(s, sizeof(*s), (void *)g))
		return true;
	count(COUNT_UNREAD, 1);
	return false;
}

#endif
