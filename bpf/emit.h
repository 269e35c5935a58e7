/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Plaintext, from the memory of the program into the ring buffer.
 */
#ifndef H2SNIFF_EMIT_H
#define H2SNIFF_EMIT_H

#include "record.h"

/* Set before loading. */
const volatile bool sleepable; /* programs may fault pages in */

/* 4 MiB of one call are copied, of one whose pages have to be faulted in 1 MiB at
 * least; the rest is counted. */
#define MAX_CHUNKS 256

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
			return 0;                                                          \
		}                                                                          \
		u32 n = e->n;                                                              \
		asm volatile("" : "+r"(n));                                                \
		if (n > CLASS)                                                             \
			n = CLASS;                                                         \
		fill(&rec->r, e->kind, &e->who, e->dir == DIR_SEND ? e->begin : 0);        \
		rec->r.dir = e->dir;                                                       \
		rec->r.flags = e->flags;                                                   \
		rec->r.pos = e->pos;                                                       \
		rec->r.len = e->n + e->left_out;                                           \
		e->begin = rec->r.time;                                                    \
		if (!bpf_probe_read_user(rec->data, n, (void *)e->buf)) {                  \
			rec->r.copied = n;                                                 \
		} else if (e->may_fault) {                                                 \
			bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);                        \
			return 1;                                                          \
		} /* else nothing is copied, and its length still counts */                \
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
		return 0;
	}
	fill(r, e->kind, &e->who, e->dir == DIR_SEND ? e->begin : 0);
	r->dir = e->dir;
	r->flags = e->flags;
	r->pos = e->pos;
	r->len = len;
	if (e->kind == RECORD_BEGIN)
		e->begin = r->time;
	submit(r);
	return 0;
}

/* Faults the pages of a piece of n octets in, while no record is held: a record
 * held during a fault would stall the reader. What cannot be read now is found
 * out by reading it again. */
static __always_inline void fault_in(u64 buf, u64 n)
{
	char byte;
	for (u32 i = 0; i <= CHUNK / 4096; i++) {
		/* The smaller of i * 4096 and n - 1, without a branch: the
		 * verifier would follow each. */
		s64 short_of = (s64)(n - 1 - i * 4096u);
		bpf_copy_from_user(&byte, 1, (void *)(buf + i * 4096u + (short_of & short_of >> 63)));
	}
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

#define CHUNKS 4 /* at a time */
#define CHUNKS_FAULT 8

/* Some pieces of CHUNK octets of the left ones that a call has, but never the
 * last. Gives how many, and CHUNKS_FAULT where a page is not there and can be
 * faulted in. */
__noinline u32 emit_chunks(struct emission *e, u64 left)
{
	if (!e)
		return 0;
	for (u32 i = 0; i < CHUNKS; i++) {
		if (left <= CHUNK)
			return i;
		e->n = CHUNK;
		if (emit_full(e))
			return i | CHUNKS_FAULT;
		e->may_fault = sleepable;
		e->buf += CHUNK;
		e->pos += CHUNK;
		left -= CHUNK;
	}
	return CHUNKS;
}

/* A whole call of len octets, in pieces. */
static __always_inline void emit_whole(struct emission *e, u64 len)
{
	u64 left = len;
	e->may_fault = sleepable;
	for (int i = 0; i < MAX_CHUNKS / CHUNKS; i++) {
		if (left <= CHUNK)
			break;
		u32 done = emit_chunks(e, left);
		left -= (done & (CHUNKS_FAULT - 1)) * (u64)CHUNK;
		if (sleepable && done & CHUNKS_FAULT) {
			fault_in(e->buf, CHUNK);
			e->may_fault = false;
		}
	}
	e->flags = RECORD_LAST;
	if (left > CHUNK) {
		emit_bare(e, left);
		return;
	}
	e->n = left;
	EMIT_PIECE(emit_tail, e);
}

#endif
