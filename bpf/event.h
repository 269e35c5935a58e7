/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What crosses the ring buffer. Go reads these structs as they lie (package
 * bpf, event.go): keep both in step; a test compares their sizes with BTF.
 */
#ifndef H2SNIFF_EVENT_H
#define H2SNIFF_EVENT_H

#include "kernel.h"

enum record_kind {
	RECORD_OPEN = 1,  /* a handle was first seen; struct open_record */
	RECORD_BEGIN,	  /* an outermost send call began */
	RECORD_DATA,	  /* a piece of a call; copied octets follow */
	RECORD_NOTHING,	  /* an outermost send call returned and moved nothing */
	RECORD_TENTATIVE, /* octets GnuTLS has buffered; a RECORD_COMMIT may follow */
	RECORD_COMMIT,	  /* the first len octets of the last tentative ones are sent */
	RECORD_ADDRESS,	  /* socket evidence; struct address_record */
	RECORD_CLOSE,	  /* handle freed; pos and len are the final positions (send, recv) */
	RECORD_THREAD,	  /* a thread ended inside a call */
	RECORD_PROCESS,	  /* a process ended or replaced its image */
	RECORD_UNSENT,	  /* of the octets of an earlier RECORD_DATA, these were not sent */
};

enum direction {
	DIR_SEND = 0,
	DIR_RECV = 1,
	DIR_NONE = 2,
};

enum {
	/* Set on the record that ends a call. */
	RECORD_LAST = 1,
};

struct record {
	u8 kind;
	u8 dir;
	u8 flags;
	u8 depth;   /* TLS calls that the thread is inside, this one left out */
	u32 copied; /* octets that follow the struct */
	u32 pid;    /* thread group, in h2sniff's pid namespace */
	u32 tid;
	u64 thread; /* tgid << 32 | pid in the initial pid namespace */
	u64 handle; /* SSL * or gnutls_session_t */
	u64 gen;    /* boot time of the handle's first call: handles are reused */
	u64 time;   /* CLOCK_BOOTTIME ns: a send's beginning, a receive's return */
	u64 pos;    /* position of the first octet in its direction */
	u64 len;    /* octets really sent or received */
};

struct open_record {
	struct record r;
	char comm[16]; /* of the thread-group leader */
	u32 library; /* of the attach cookie */
	u8 role;     /* 0 unknown, 1 client, 2 server */
	u8 fresh;    /* its first call was a handshake */
	u16 pad;
};

struct address {
	u64 cookie;
	u8 local[16];
	u8 remote[16];
	u16 local_port;
	u16 remote_port;
	u16 family; /* AF_INET (first 4 octets of the arrays) or AF_INET6 */
	u16 pad;
};

struct address_record {
	struct record r;
	struct address a;
	u8 nested; /* received inside a call on the handle */
	u8 pad[7];
};

/* A connection whose RECORD_CLOSE found no room; Go's bpf.LostKey. */
struct lost_key {
	u64 tgid, handle, gen;
};

/* How it had ended; Go's bpf.LostClose. */
struct lost_close {
	u64 pos[2];
	u64 time; /* these as in a record */
	u32 pid, tid;
};

/* Where a process has the data of NSS; Go's bpf.NSSData. */
struct nss_data {
	u64 start, end; /* addresses */
	u32 library;	/* its number, as in attach cookies */
	u32 pad;
};

/* Counters, one per CPU each; order as in Go's bpf.Counter. */
enum counter {
	COUNT_DROPPED,	/* records for which the ring had no room */
	COUNT_UNREAD,	/* calls not followed: an argument or a result could not be read */
	COUNT_TOO_DEEP, /* calls nested too deep to follow */
	COUNT_NO_STATE, /* calls not followed: a state map was full, or their connection had ended */
	COUNTERS,
};

#endif
