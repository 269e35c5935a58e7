/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The state of threads and connections, which all programs share: each object
 * defines these maps, and the loader gives all of them the same ones.
 */
#ifndef H2SNIFF_STATE_H
#define H2SNIFF_STATE_H

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "emission.h"
#include "event.h"

/* Set before loading. */
const volatile u64 wakeup_bytes; /* queued octets that wake the reader at once; a power of two */

/* Set when the capture ends, before the probes are taken away, which is done one
 * after the other: what reads tell when writes tell no more is not the truth. */
volatile bool ending;

#define MAX_DEPTH 8 /* a power of two: indices are masked with it */
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
	/* Of the call that ends: no program has room for it on its stack. */
	struct frame_walk walk;
};

struct conn_key {
	u64 tgid; /* initial pid namespace */
	u64 handle;
};

struct conn {
	u64 gen;
	u64 pos[2];
	u64 exact;    /* cookie of the socket last bound */
	union {
		u64 inferred;	/* the same, of a C library, where it was inferred */
		u64 calling[2]; /* of Go, by direction: the goroutine that called Write or
				 * Read last and is in it, or 0 */
		u32 base[2];  /* of TCP: the kernel's own position where pos is 0; 0 is not known */
	};
	struct frames frames[2];
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

/* Processes that have connections, so that the exit of others costs little. The
 * value is 0, or when the process ended if the record that tells so found no room;
 * then h2sniff removes it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, u64);
} processes SEC(".maps");

/* Read and removed by h2sniff. Not LRU: what has no room is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct lost_key);
	__type(value, struct lost_close);
} lost_closes SEC(".maps");

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
_Static_assert(sizeof(struct conn) == 104, "conn");
_Static_assert(sizeof(struct lost_close) == 32, "lost_close");

static __always_inline void count(u32 which, u64 n)
{
	u64 *c = bpf_map_lookup_elem(&counters, &which);
	if (c)
		__sync_fetch_and_add(c, n); /* uprobe programs can be preempted */
}

/* Whether a record that is ready wakes the reader, which looks every few ms by
 * itself: a wake-up per record would cost more than the copy. It is woken each
 * time when wakeup_bytes more are queued, by the records that may be the first
 * behind that, and by few more: a reader that is behind, and not asleep, gains
 * nothing by it. Global, so that the verifier checks it once. */
__noinline u64 wakeup(void)
{
	u64 queued = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	if (queued < wakeup_bytes || (queued & (wakeup_bytes - 1)) >= 2 * CHUNK)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, wakeup());
}

#endif
