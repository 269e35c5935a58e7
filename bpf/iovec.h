/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What a system call on a socket moved, from the buffers that it was given.
 */
#ifndef H2SNIFF_IOVEC_H
#define H2SNIFF_IOVEC_H

#include "frames.h"

/* How a system call names its buffers. */
enum shape {
	SHAPE_FLAT, /* buffer, length */
	SHAPE_VEC,  /* struct iovec *, count */
	SHAPE_KERNEL_VEC, /* the same, copied into the kernel */
	SHAPE_MSG,  /* struct msghdr * */
	SHAPE_MMSG, /* struct mmsghdr *, count -> count */
	SHAPE_NONE, /* none: sendfile, splice, MSG_TRUNC */
};

struct iovec {
	u64 base, len;
};

/* struct user_msghdr and struct mmsghdr, linux/socket.h. */
struct message {
	u64 name, name_len, iov, iov_len, control, control_len;
	u32 flags, pad;
};

struct messages {
	struct message m;
	u32 len, pad;
};

#define MAX_MESSAGES 1024 /* UIO_MAXIOV, linux/uio.h: of vectors too */
#define MAX_STEPS 2048
#define STEPS 32 /* at a time */
#define MAX_COPIED ((u64)MAX_CHUNKS * CHUNK)

/* A walk over the buffers. */
struct walk {
	struct frame_walk frames; /* its emission is what both ways of copying use */
	u64 total;   /* octets that are still to be told of */
	u64 left;    /* of them in this message */
	u64 skip;    /* octets at the beginning that are not HTTP/2 */
	u64 cur, room; /* the rest of this buffer */
	u64 iov, buffers;
	u64 messages, more; /* those that follow */
	u64 copied;
	u64 followed; /* octets of this buffer through which frames are followed now */
	u8 shape;
};

static __always_inline long read_vector(struct iovec *v, u64 addr, u8 shape)
{
	if (shape == SHAPE_KERNEL_VEC)
		return bpf_probe_read_kernel(v, sizeof(*v), (void *)addr);
	return bpf_probe_read_user(v, sizeof(*v), (void *)addr);
}

/* One step: the next message, the next buffer or the next piece. Not 0 at the
 * end, or where a buffer's place cannot be read: what is left of total is then
 * told of without octets. Global, so that the verifier checks it once. */
__noinline int walk_step(struct walk *w)
{
	if (!w || !w->total || w->copied > MAX_COPIED)
		return 1;
	if (!w->left) {
		/* Only what is needed: before Linux 6.2 the stack has no room. */
		struct messages *m = (void *)w->messages;
		struct iovec v;
		u32 len;
		if (!w->more)
			return 1;
		if (bpf_probe_read_user(&v, sizeof(v), &m->m.iov) || bpf_probe_read_user(&len, sizeof(len), &m->len))
			return 1;
		w->messages += sizeof(*m);
		w->more--;
		w->left = len;
		w->iov = v.base;
		w->buffers = v.len;
		w->room = 0;
		return 0;
	}
	if (!w->room) {
		struct iovec v;
		if (!w->buffers)
			return 1;
		if (read_vector(&v, w->iov, w->shape))
			return 1;
		w->iov += sizeof(v);
		w->buffers--;
		w->cur = v.base;
		w->room = v.len;
		return 0;
	}
	u64 n = w->room < w->left ? w->room : w->left;
	if (n > w->total)
		n = w->total;
	if (w->skip) {
		if (n > w->skip)
			n = w->skip;
		w->skip -= n;
	} else if (headers_only) {
		if (!w->followed && !w->frames.told) {
			w->followed = n;
			w->frames.e.buf = w->cur;
			w->frames.avail = n;
			w->frames.rest = w->total - n;
			w->frames.e.may_fault = 0;
			if (find_frames(&w->frames) == WALK_SEEK)
				seek_frames(&w->frames);
			return 0;
		}
		if (w->followed) {
			int at = walk_frames(&w->frames);
			if (at == WALK_FAULT || (at == WALK_EMIT && walk_emit(&w->frames)))
				w->frames.e.may_fault = 0; /* nothing can be faulted in here */
			if (at != WALK_END)
				return 0;
			n = w->followed;
			w->followed = 0;
		} else {
			if (n > w->frames.told)
				n = w->frames.told;
			w->frames.told -= n;
		}
	} else {
		struct emission *e = &w->frames.e;
		if (n > CHUNK)
			n = CHUNK;
		e->n = n;
		e->buf = w->cur;
		e->flags = n == w->total ? RECORD_LAST : 0;
		e->may_fault = 0;
		if (n == CHUNK)
			emit_full(e);
		else
			emit_tail(e);
		e->pos += n;
		w->copied += n;
	}
	w->cur += n;
	w->room -= n;
	w->left -= n;
	w->total -= n;
	return 0;
}

/* The same, several times. */
__noinline int walk_steps(struct walk *w)
{
	for (u32 i = 0; i < STEPS; i++)
		if (walk_step(w))
			return 1;
	return 0;
}

static __noinline void begin_walk(struct walk *w, u8 shape, u64 buf, u64 count, u64 n)
{
	w->shape = shape;
	w->total = w->left = n;
	switch (shape) {
	case SHAPE_FLAT:
		w->cur = buf;
		w->room = n;
		break;
	case SHAPE_VEC:
	case SHAPE_KERNEL_VEC:
		w->iov = buf;
		w->buffers = count;
		break;
	case SHAPE_MSG: {
		struct message m;
		if (bpf_probe_read_user(&m, sizeof(m), (void *)buf))
			break;
		w->iov = m.iov;
		w->buffers = m.iov_len;
		break;
	}
	case SHAPE_MMSG:
		w->left = 0;
		w->messages = buf;
		w->more = count;
		break;
	}
}

/* Where the first octets lie that a call moves, and how many lie there. */
__noinline u64 first_buffer(u8 shape, u64 buf, u64 count, u64 *addr)
{
	if (!addr)
		return 0;
	if (shape == SHAPE_NONE)
		return 0;
	if (shape == SHAPE_FLAT) {
		*addr = buf;
		return count;
	}
	if (shape == SHAPE_MSG || shape == SHAPE_MMSG) {
		struct message m;
		if (bpf_probe_read_user(&m, sizeof(m), (void *)buf))
			return 0;
		buf = m.iov;
		count = m.iov_len;
	}
	for (u32 i = 0; i < 8; i++) {
		struct iovec v;
		if (i >= count || read_vector(&v, buf + i * sizeof(v), shape))
			return 0;
		if (v.len) {
			*addr = v.base;
			return v.len;
		}
	}
	return 0;
}

/* The octets that sendmmsg or recvmmsg moved in as many messages. */
__noinline u64 sum_messages(u64 messages, u64 count)
{
	u64 sum = 0;
	for (u32 i = 0; i < MAX_MESSAGES; i++) {
		u32 len = 0;
		if (i >= count)
			break;
		bpf_probe_read_user(&len, sizeof(len), &((struct messages *)messages)[i].len);
		sum += len;
	}
	return sum;
}

#endif
