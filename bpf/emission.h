/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What is told of a call: one piece, and how far its frames are followed.
 */
#ifndef H2SNIFF_EMISSION_H
#define H2SNIFF_EMISSION_H

#include "kernel.h"

struct who {
	u64 thread, handle, gen;
	u32 pid, tid;
	u8 depth;
};

#define CHUNK 16384u

/* Octets to be told of in one record. */
struct emission {
	struct who who;
	u64 begin, buf, pos;
	u64 left_out; /* octets behind this piece that are counted and not copied */
	u32 n;	      /* octets of this piece, at most CHUNK */
	u8 kind, dir, flags;
	u8 may_fault; /* pages that are not there are not given up yet */
};

enum {
	FRAMES_UNKNOWN,	 /* where frames begin is not known */
	FRAMES_START,	 /* nothing but a beginning of the client's preface was seen */
	FRAMES_FOLLOWED, /* header by header */
};

/* How far one direction's frames have been followed, at the end of a call. */
struct frames {
	u32 left;  /* octets of the payload in progress that are still to come */
	u8 state;
	u8 have;   /* octets of the frame header in progress, or of the preface */
	u8 data;   /* the payload in progress is left out */
	u8 begun;  /* the frame in progress began in an earlier record */
	u8 doubt;  /* frames until their boundaries, found by their looks, are believed */
	u8 header[2 * 9 + 1]; /* twice the size, for the verifier: see walk_frames */
};

/* Following them through a call. */
struct frame_walk {
	struct emission e; /* the next record: n octets from buf on */
	struct frames f;
	u32 due;   /* the record is complete; here it fills a hole */
	u64 avail; /* octets behind them in this buffer */
	u64 here;  /* octets of left_out that are in this buffer */
	u64 rest;  /* octets of the call in later buffers */
	u64 told;  /* of those, what records have told of already */
};

#endif
