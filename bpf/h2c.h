/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Which TCP sockets carry cleartext HTTP/2, judged by what calls on them move:
 * all others are refused for good after a few calls, and cost little then.
 */
#ifndef H2SNIFF_H2C_H
#define H2SNIFF_H2C_H

#include "frames.h"

enum verdict {
	VERDICT_OPEN,  /* not known yet */
	VERDICT_ASKED, /* HTTP/1, and no answer yet: it may be 101 */
	VERDICT_HTTP2,
	VERDICT_REFUSED,
};

/* Of more processes the connections end with the process, or when its next
 * socket is at the same place. */
#define MAX_TGIDS 4
/* Calls without evidence either way after which a socket is refused. */
#define MAX_UNJUDGED 256

/* A TCP socket that a followed process has used. */
struct tcp_state {
	u64 gen; /* boot time of its first call: the kernel reuses struct sock */
	u32 tgids[MAX_TGIDS]; /* processes with a connection on it, 0 where unused */
	u32 busy[2];	      /* calls that run, by direction */
	u32 due[2];	      /* payload of the frame header that was a call of its own */
	u16 unjudged;
	u8 verdict;
	u8 asker;	/* direction of the HTTP/1 request */
	u8 passes[2];	/* the direction has begun to speak HTTP/2 */
	u8 unused;	/* nothing had moved before the first call */
	u8 shared;	/* several processes have had a connection on it */
};

/* A TLS record header (RFC 8446, section 5.1). */
static __always_inline bool is_tls(const u8 *b, u64 n)
{
	return n >= 3 && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4;
}

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

#define LONGEST_SWITCHING 1024

/* A response whose end is sought. */
struct response {
	u64 addr, n;
	u32 last; /* its last four octets so far */
	u32 at;	  /* how many there are */
	u32 names_h2c;
	u32 length; /* all of it, where it changes to h2c */
};

/* Some octets of it. Not 0 at the end. Global, so that the verifier checks it
 * once. */
__noinline int read_response(struct response *r)
{
	if (!r)
		return 1;
	for (u32 i = 0; i < 32; i++) {
		u8 c;
		if (r->at >= r->n || bpf_probe_read_user(&c, 1, (void *)(r->addr + r->at)))
			return 1;
		r->at++;
		r->last = r->last << 8 | c;
		if ((r->last & 0xdfffdf) == FOUR(0, 'H', '2', 'C'))
			r->names_h2c = 1;
		if (r->last == FOUR('\r', '\n', '\r', '\n')) {
			r->length = r->names_h2c ? r->at : 0;
			return 1;
		}
	}
	return 0;
}

/* The length of a 101 response that changes to h2c, 0 where it is none. */
__noinline u32 switching_length(u64 addr, u64 n)
{
	struct response r = {.addr = addr, .n = n};
	for (u32 i = 0; i < LONGEST_SWITCHING / 32; i++)
		if (read_response(&r))
			break;
	return r.length;
}

#endif
