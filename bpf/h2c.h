/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Which TCP sockets carry cleartext HTTP/2, judged by what calls on them move:
 * all others are refused for good after a few calls, and cost little then.
 */
#ifndef H2SNIFF_H2C_H
#define H2SNIFF_H2C_H

#include "state.h"

enum verdict {
	VERDICT_OPEN,  /* not known yet */
	VERDICT_ASKED, /* HTTP/1, and no answer yet: it may be 101 */
	VERDICT_HTTP2,
	VERDICT_REFUSED,
};

#define MAX_TGIDS 4
/* Calls without evidence either way after which a socket is refused. */
#define MAX_UNJUDGED 256

/* A TCP socket that a followed process has used. */
struct tcp_state {
	u64 gen; /* boot time of its first call: the kernel reuses struct sock */
	u32 tgids[MAX_TGIDS]; /* processes with a connection on it, 0 where unused */
	u32 busy[2];	      /* calls that run, by direction */
	u32 seq[2];	      /* the kernel's own positions after the last call */
	u32 due[2];	      /* payload of the frame header that was a call of its own */
	u16 unjudged;
	u8 verdict;
	u8 asker;	/* direction of the HTTP/1 request */
	u8 passes[2];	/* the direction has begun to speak HTTP/2 */
	u8 positioned[2]; /* seq is known */
};

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

/* A TLS record header (RFC 8446, section 5.1). */
static __always_inline bool is_tls(const u8 *b, u64 n)
{
	return n >= 3 && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4;
}

#define FOUR(a, b, c, d) ((u32)(a) << 24 | (u32)(b) << 16 | (u32)(c) << 8 | (d))

/* The beginning of an HTTP/1 request (RFC 9110, section 9.3; RFC 5789). */
static __always_inline bool is_request(const u8 *b, u64 n)
{
	if (n < 4)
		return false;
	switch (FOUR(b[0], b[1], b[2], b[3])) {
	case FOUR('G', 'E', 'T', ' '):
	case FOUR('P', 'O', 'S', 'T'):
	case FOUR('P', 'U', 'T', ' '):
	case FOUR('H', 'E', 'A', 'D'):
	case FOUR('D', 'E', 'L', 'E'):
	case FOUR('O', 'P', 'T', 'I'):
	case FOUR('P', 'A', 'T', 'C'):
	case FOUR('C', 'O', 'N', 'N'):
	case FOUR('T', 'R', 'A', 'C'):
		return true;
	}
	return false;
}

static __always_inline bool is_response(const u8 *b, u64 n)
{
	return n >= 4 && FOUR(b[0], b[1], b[2], b[3]) == FOUR('H', 'T', 'T', 'P');
}

static __always_inline bool is_switching(const u8 *b, u64 n)
{
	return n >= 12 && FOUR(b[5], b[6], b[7], b[8]) == FOUR('1', '.', '1', ' ') &&
	       b[9] == '1' && b[10] == '0' && b[11] == '1';
}

/*
 * These functions are global: the verifier checks each once, by itself.
 */

/* Whether octets that give this header are likely to be one: what real programs
 * do not send is refused, since other octets rarely pass. package decode judges
 * again, and better. */
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

#define LONGEST_SWITCHING 1024

/* The length of a 101 response that changes to h2c, 0 where it is none. */
__noinline u32 switching_length(u64 addr, u64 n)
{
	u32 last = 0, names = 0;
	for (u32 i = 0; i < LONGEST_SWITCHING; i++) {
		u8 c;
		if (i >= n || bpf_probe_read_user(&c, 1, (void *)(addr + i)))
			return 0;
		last = last << 8 | c;
		names |= (last & 0xdfffdf) == FOUR(0, 'H', '2', 'C');
		if (last == FOUR('\r', '\n', '\r', '\n'))
			return names ? i + 1 : 0;
	}
	return 0;
}

#endif
