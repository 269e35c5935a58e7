/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Frames by their headers: what looks like one, and following them through what
 * calls move, so that the content of DATA need not be copied.
 */
#ifndef H2SNIFF_FRAMES_H
#define H2SNIFF_FRAMES_H

#include "emit.h"

const volatile bool headers_only; /* leave the content of DATA out; set before loading */

#define FRAME_HEADER 9
#define PREFACE_LENGTH 24
/* What is looked at of a call's beginning. */
#define HEAD PREFACE_LENGTH

/* Whether the n octets at b, some of a call's first, begin the client's
 * connection preface (RFC 9113, section 3.4). */
static __always_inline bool is_preface(const u8 *b, u64 n)
{
	static const char preface[HEAD] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	for (u32 i = 0; i < HEAD; i++) {
		if (i >= n)
			return i > 0;
		if (b[i] != (u8)preface[i])
			return false;
	}
	return true;
}

/* A SETTINGS frame that is no acknowledgement: a server's first. */
static __always_inline bool is_settings(const u8 *b, u64 n)
{
	u32 length = (u32)b[0] << 16 | (u32)b[1] << 8 | b[2];
	return n >= FRAME_HEADER && length <= 64 * 6 && length % 6 == 0 &&
	       b[3] == 4 && !b[4] && !b[5] && !b[6] && !b[7] && !b[8];
}

#define FOUR(a, b, c, d) ((u32)(a) << 24 | (u32)(b) << 16 | (u32)(c) << 8 | (d))

/*
 * These functions are global: the verifier checks each once, by itself.
 */

/* Whether octets that give this header are likely to be one: what real programs
 * do not send is refused, since other octets rarely pass. package decode judges
 * again, and better. Global not only for that: within a loop, Linux 7.2's verifier
 * follows each length that is told apart here, and all sums of them, to its
 * limit. */
__noinline int plausible(u32 length, u8 type, u8 flags, u32 id)
{
	bool stream = id > 0;
	if (id >> 31 || length > 1 << 20)
		return 0;
	switch (type) {
	case 0: /* DATA: END_STREAM, PADDED */
		return stream && !(flags & ~0x9) && (length || flags == 1);
	case 1: /* HEADERS: END_STREAM, END_HEADERS, PADDED, PRIORITY */
		return stream && !(flags & ~0x2d) && length && length <= 16384;
	case 2: /* PRIORITY */
		return stream && !flags && length == 5;
	case 3: /* RST_STREAM */
		return stream && !flags && length == 4;
	case 4: /* SETTINGS: ACK */
		return !stream && (flags == 1 ? !length : !flags && length <= 64 * 6 && length % 6 == 0);
	case 5: /* PUSH_PROMISE: END_HEADERS, PADDED */
		return stream && !(flags & ~0xc) && length > 4 && length <= 16384;
	case 6: /* PING: ACK */
		return !stream && !(flags & ~1) && length == 8;
	case 7: /* GOAWAY */
		return !stream && !flags && length >= 8 && length <= 16384;
	case 8: /* WINDOW_UPDATE */
		return !flags && length == 4;
	case 9: /* CONTINUATION: END_HEADERS */
		return stream && !(flags & ~4) && length && length <= 16384;
	}
	return 0;
}

/* Frames in a row that are enough where the call's end does not tell. */
#define ENOUGH_FRAMES 3
#define MAX_FRAMES 16

#define CHAIN (1u << 31)

/* CHAIN where the n octets of a call are a chain of frames; its first flat
 * octets lie at addr. Where the call is a header and nothing else, the length
 * that is to follow. */
__noinline u32 find_chain(u64 addr, u64 flat, u64 n)
{
	u64 at = 0;
	for (u32 i = 0; i < MAX_FRAMES; i++) {
		u8 b[FRAME_HEADER];
		if (at + FRAME_HEADER > flat)
			return i >= ENOUGH_FRAMES ? CHAIN : 0;
		if (bpf_probe_read_user(b, sizeof(b), (void *)(addr + at)))
			return 0;
		u32 length = (u32)b[0] << 16 | (u32)b[1] << 8 | b[2];
		if (!plausible(length, b[3], b[4], FOUR(b[5], b[6], b[7], b[8])))
			return 0;
		at += FRAME_HEADER + length;
		if (at == n)
			return CHAIN;
		if (n == FRAME_HEADER)
			return length;
	}
	return CHAIN;
}

/*
 * Leaving the content of DATA out.
 *
 * In each direction frames are followed from the client's preface or the
 * server's first SETTINGS, through all calls. Every octet is copied but the
 * payload of DATA, whose length is told with the header before it. Where the
 * boundaries are not known everything is copied, until a call begins with a
 * chain of frames; those are then copied whole for a while, so that h2sniff
 * finds the boundaries too.
 *
 * Programs that read packets are to find each frame in a recording. They put a
 * frame together only from packets that were captured whole, and show one that
 * was cut only where its header and some of its payload are in one packet. So:
 * a frame that began in an earlier record ends one, and DATA whose header is in
 * two records, or the last of a call, is copied whole.
 */

#define DATA_FRAME 0
#define DOUBTED_FRAMES 16
/* Steps in one call are 32 * MAX_WALK, where no page has to be faulted in; what
 * is left then is copied whole. */
#define MAX_WALK 32

enum {
	WALK_ON,
	WALK_END,
	WALK_SEEK,  /* a chain of frames is to be sought */
	WALK_EMIT,  /* the record is complete */
	WALK_FAULT, /* a page is not there and can be faulted in: see walk_fault_in */
};

const char client_preface[32] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static __always_inline void frames_lost(struct frames *f)
{
	__builtin_memset(f, 0, sizeof(*f));
}

/* How far into a connection early data may reach that the server has rejected:
 * the client begins anew then, perhaps in the middle of a frame. */
#define MAX_EARLY (64 << 10)

/* Judges what a call begins with, where frames are not followed yet, or may
 * begin anew. */
__noinline int find_frames(struct frame_walk *w)
{
	u8 b[HEAD] = {};

	if (!w)
		return WALK_ON;
	struct frames *f = &w->f;
	bool followed = f->state == FRAMES_FOLLOWED;
	if (followed && (!w->e.pos || w->e.pos > MAX_EARLY))
		return WALK_ON;
	u64 n = w->avail;
	if (n > HEAD)
		n = HEAD;
	if (!n)
		return WALK_ON;
	if (bpf_probe_read_user(b, n, (void *)w->e.buf)) {
		if (w->e.may_fault)
			return WALK_FAULT;
		if (!followed)
			f->state = FRAMES_UNKNOWN;
		return WALK_ON;
	}
	if (followed && (n < HEAD || !is_preface(b, n)))
		return WALK_ON;
	if (f->state == FRAMES_START) {
		u32 have = f->have & 31;
		bool same = true;
		for (u32 i = 0; i < HEAD; i++) {
			if (i >= n || have + i >= PREFACE_LENGTH)
				break;
			if (b[i] != (u8)client_preface[(have + i) & 31])
				same = false;
		}
		if (same && have + n < PREFACE_LENGTH) {
			f->have = have + n; /* the call is all of it */
			return WALK_ON;
		}
		f->have = 0;
		if (same) {
			f->state = FRAMES_FOLLOWED;
			f->left = PREFACE_LENGTH - have; /* copied like a payload */
			f->begun = have > 0;
		} else {
			f->state = !have && is_settings(b, n) ? FRAMES_FOLLOWED : FRAMES_UNKNOWN;
		}
		return WALK_ON;
	}
	if (n < HEAD || !is_preface(b, n))
		return WALK_SEEK;
	frames_lost(f);
	f->state = FRAMES_FOLLOWED;
	f->left = PREFACE_LENGTH;
	return WALK_ON;
}

/* What WALK_SEEK asks for. */
static __always_inline void seek_frames(struct frame_walk *w)
{
	if (find_chain(w->e.buf, w->avail, w->avail + w->rest) == CHAIN) {
		w->f.state = FRAMES_FOLLOWED;
		w->f.doubt = DOUBTED_FRAMES;
	}
}

/* What WALK_EMIT asks for. Calls are not nested in one another here: before Linux
 * 6.2 the stacks of all that are would not fit. Gives whether a page is not there
 * and can be faulted in. */
static __always_inline int walk_emit(struct frame_walk *w)
{
	struct frames *f = &w->f;
	w->e.flags = !w->avail && w->told >= w->rest ? RECORD_LAST : 0;
	if (!w->e.n)
		emit_bare(&w->e, w->e.left_out);
	else if (emit_tail(&w->e))
		return 1;
	w->e.may_fault = sleepable;
	w->e.buf += w->e.n + w->here;
	w->e.pos += w->e.n + w->e.left_out;
	w->e.n = 0;
	w->e.left_out = 0;
	w->here = 0;
	w->due = 0;
	f->begun = f->left || f->have;
	return 0;
}

/* A frame header, or as much of it as there is. */
static __always_inline int walk_header(struct frame_walk *w)
{
	struct frames *f = &w->f;
	/* Both bounds are kept opaque: clang 14 drops what it can prove. */
	u64 have = f->have, m = w->avail;
	asm volatile("" : "+r"(have), "+r"(m));
	if (have >= FRAME_HEADER)
		have = 0;
	bool split = have > 0;
	if (m > FRAME_HEADER - have)
		m = FRAME_HEADER - have;
	asm volatile("" : "+r"(m));
	if (m > FRAME_HEADER)
		m = FRAME_HEADER;
	if (bpf_probe_read_user(f->header + have, m, (void *)(w->e.buf + w->e.n))) {
		if (w->e.may_fault)
			return WALK_FAULT;
		frames_lost(f);
		return WALK_ON;
	}
	w->e.n += m;
	w->avail -= m;
	f->have = have + m;
	if (f->have < FRAME_HEADER)
		return WALK_ON;
	const u8 *h = f->header;
	f->have = 0;
	f->left = (u32)h[0] << 16 | (u32)h[1] << 8 | h[2];
	if (f->doubt) {
		if (!plausible(f->left, h[3], h[4], FOUR(h[5], h[6], h[7], h[8]))) {
			frames_lost(f);
			return WALK_ON;
		}
		f->doubt--;
	}
	f->data = h[3] == DATA_FRAME && !split && !f->doubt && w->avail + w->rest > 0;
	if (!f->left && f->begun)
		w->due = 1;
	return WALK_ON;
}

/* One step: a record, a frame header, or a payload as far as it goes. */
static __always_inline int follow_frames(struct frame_walk *w)
{
	struct frames *f = &w->f;
	if (w->due)
		return WALK_EMIT;
	if (!w->avail) {
		w->due = w->e.n > 0;
		return w->due ? WALK_ON : WALK_END;
	}
	u64 m = w->avail;
	if (f->state == FRAMES_FOLLOWED && !f->left) {
		if (w->e.n + FRAME_HEADER <= CHUNK)
			return walk_header(w);
		w->due = 1;
		return WALK_ON;
	}
	if (f->state == FRAMES_FOLLOWED && f->data) {
		m += w->rest;
		if (m > f->left)
			m = f->left;
		f->left -= m;
		w->here = m < w->avail ? m : w->avail;
		w->e.left_out = m;
		w->avail -= w->here;
		w->told = m - w->here;
		w->due = 1;
		return WALK_ON;
	}
	if (f->state == FRAMES_FOLLOWED && m > f->left)
		m = f->left;
	if (m > CHUNK - w->e.n)
		m = CHUNK - w->e.n;
	w->e.n += m;
	w->avail -= m;
	if (f->state == FRAMES_FOLLOWED)
		f->left -= m;
	if (w->e.n >= CHUNK || (f->begun && f->state == FRAMES_FOLLOWED && !f->left))
		w->due = 1;
	return WALK_ON;
}

/* Some steps. Global, so that the verifier checks it once. */
__noinline int walk_frames(struct frame_walk *w)
{
	if (!w)
		return WALK_END;
	for (u32 i = 0; i < 4; i++) {
		int at = follow_frames(w);
		if (at != WALK_ON)
			return at;
	}
	return WALK_ON;
}

/* Octets that moved and cannot be looked at. */
static __always_inline void frames_pass(struct frames *f, u64 n)
{
	if (f->state != FRAMES_FOLLOWED || f->have || n > f->left)
		frames_lost(f);
	else
		f->left -= n;
}

/* A record of octets that moved and cannot be looked at, which ends a call. */
static __always_inline void emit_unseen(struct conn *c, struct emission *e, u64 n)
{
	if (headers_only)
		frames_pass(&c->frames[e->dir & 1], n);
	e->flags = RECORD_LAST;
	emit_bare(e, n);
}

/* Faults in what the next record has so far, and what is looked at behind it.
 * The faulting is here: see EMIT_PIECE. */
static __always_inline void walk_fault_in(struct frame_walk *w)
{
	u64 n = w->avail < HEAD ? w->avail : HEAD;
	if (sleepable && w->e.may_fault)
		fault_in(w->e.buf, w->e.n + n);
	w->e.may_fault = false;
}

/* More steps, and the records that they complete. Gives WALK_FAULT where a page
 * is not there and can be faulted in. */
__noinline int walk_on(struct frame_walk *w)
{
	if (!w)
		return WALK_END;
	for (u32 i = 0; i < 8; i++) {
		int at = walk_frames(w);
		if (at == WALK_EMIT)
			at = walk_emit(w) ? WALK_FAULT : WALK_ON;
		if (at != WALK_ON)
			return at;
	}
	return WALK_ON;
}

/* What a call moved, len octets. c is the state of its connection. */
static __always_inline void emit_call(struct thread *th, struct conn *c, struct emission *e, u64 len)
{
	if (headers_only) {
		struct frame_walk *w = &th->walk;
		__builtin_memset(w, 0, sizeof(*w));
		w->e = *e;
		w->f = c->frames[e->dir & 1];
		w->avail = len;
		w->e.may_fault = sleepable;
		int at = find_frames(w);
		if (at == WALK_FAULT) {
			walk_fault_in(w);
			at = find_frames(w);
			w->e.may_fault = sleepable;
		}
		if (at == WALK_SEEK)
			seek_frames(w);
		for (u32 i = 0; i < MAX_WALK; i++) {
			at = walk_on(w);
			if (at == WALK_END)
				break;
			if (at == WALK_FAULT)
				walk_fault_in(w);
		}
		if (at != WALK_END)
			frames_lost(&w->f);
		c->frames[e->dir & 1] = w->f;
		if (at == WALK_END)
			return;
		e->buf = w->e.buf;
		e->pos = w->e.pos;
		len = w->e.n + w->here + w->avail;
	}
	emit_whole(e, len);
}

#endif
