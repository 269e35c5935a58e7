/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What followed processes move on TCP sockets, from the beginning of a call to
 * its end. The handle is the struct sock, whatever descriptor leads to it. The
 * kernel's own positions tell how much moved that was not seen.
 */
#ifndef H2SNIFF_TRANSFER_H
#define H2SNIFF_TRANSFER_H

#include "h2c.h"
#include "iovec.h"
#include "socket.h"

const volatile bool everyone; /* not only processes in the map followed */
const volatile u32 library;   /* the number that h2sniff gave "TCP" */

enum follow {
	FOLLOW_TREE = 1, /* children too, whatever they execute */
	FOLLOW_IMAGE = 2, /* until it executes another program */
};

/* Thread-group leaders, written by h2sniff with a pidfd: so no pid has to be
 * translated between namespaces. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u8);
} followed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64); /* struct sock * */
	__type(value, struct tcp_state);
} sockets SEC(".maps");

/* The system call that a thread is inside. */
struct transfer {
	u64 sk; /* 0 where none is followed */
	u64 gen;
	u64 buf, count;
	u64 begin;
	u8 shape, dir, depth, followed;
	u32 place; /* the kernel's position behind what was received, if placed */
	u8 placed, pad[7];
};

struct running {
	struct transfer t;
	struct walk walk; /* of its end: no program has room for it on its stack */
};

/* Of threads: a look at one that has never been inside such a call is all that
 * the end of most system calls costs. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct running);
} transfers SEC(".maps");

/* received octets were taken from it by the call that it is opened for. */
static __always_inline struct tcp_state *open_tcp(u64 sk, u64 received)
{
	struct tcp_state fresh = {.gen = bpf_ktime_get_boot_ns(), .unused = tcp_moved_only((struct sock *)sk, received)};
	bpf_map_update_elem(&sockets, &sk, &fresh, BPF_NOEXIST);
	struct tcp_state *s = bpf_map_lookup_elem(&sockets, &sk);
	if (!s)
		count(COUNT_NO_STATE, 1);
	return s;
}

/* More than the calls of a process that run have moved at one time. */
#define MOST_RUNNING (64u << 20)

/* Octets that moved with nobody to tell of them, or by another process, are
 * skipped in the position: a gap of known length. n were moved by the call that
 * ends. What calls that still run have moved is not told apart, so nothing is
 * judged while there are more than own of them: it is found later. Not so where
 * processes share the socket: one can wait in a call for ever while another
 * goes on. There, what a running call of the same process has moved already
 * becomes a gap, and is taken off again when that call ends. t is the call that
 * ends, if one does. */
static __always_inline void tcp_catch_up(struct tcp_state *s, struct conn *c, u64 sk, u8 dir, u64 n, u32 own,
					 const struct transfer *t)
{
	u64 pos = *(volatile u64 *)&c->pos[dir & 1];
	u32 now;
	if (t && t->placed)
		now = t->place;
	else if (!tcp_position((struct sock *)sk, dir, &now))
		return;
	if ((*(volatile u32 *)&s->busy[dir & 1] > own && !s->shared) || *(volatile u64 *)&c->pos[dir & 1] != pos)
		return;
	now -= (u32)(pos + n);
	if (!c->base[dir & 1]) {
		c->base[dir & 1] = now;
		return;
	}
	now -= c->base[dir & 1];
	/* A send that ends has its place already. */
	if (!now || (own && dir == DIR_SEND))
		return;
	if (-now <= MOST_RUNNING) {
		if (s->shared)
			c->base[dir & 1] += now;
		return;
	}
	c->pos[dir & 1] += now;
	if (headers_only)
		frames_pass(&c->frames[dir & 1], now);
}

/* The connection of the calling process on the socket, opened where there is
 * none. fresh says that it has just begun. 0 where nothing is to be told. */
static __always_inline struct conn *tcp_conn(struct tcp_state *s, u64 sk, u64 id, bool fresh)
{
	struct conn_key key = {.tgid = id >> 32, .handle = sk};
	/* Any thread can use a connection that another has opened. */
	struct thread *th = thread_of(id, true);
	if (!th || !th->pid)
		return 0; /* not of h2sniff's pid namespace: nobody could name it */
	struct conn *c = conn_of(&key);
	if (c && c->gen < s->gen) { /* of a socket that was here before */
		bpf_map_delete_elem(&conns, &key);
		c = 0;
	}
	if (c) {
		u64 *gen = bpf_map_lookup_elem(&ignored, &key);
		return gen && *gen == c->gen ? 0 : c;
	}
	c = open_conn(th, id, sk, (fresh ? OP_HANDSHAKE : OP_OTHER) | (u64)library << COOKIE_LIBRARY);
	if (!c)
		return 0;
	for (u32 i = 0; i < MAX_TGIDS; i++) {
		if (!s->tgids[i]) {
			s->tgids[i] = id >> 32;
			break;
		}
		if (s->tgids[i] != id >> 32)
			s->shared = 1;
	}
	for (u32 dir = 0; dir < 2; dir++)
		if (s->passes[dir])
			tcp_catch_up(s, c, sk, dir, 0, 0, 0);
	return c;
}

static __always_inline void tcp_bind(struct conn *c, u64 sk, u64 id)
{
	struct address a;
	struct thread *th = thread_of(id, false);
	if (c->exact || !th || !tcp_address((struct sock *)sk, &a))
		return;
	c->exact = a.cookie;
	emit_address(th, id, sk, c->gen, &a, true);
}

static __always_inline void accept_http2(struct tcp_state *s, bool both)
{
	s->verdict = VERDICT_HTTP2;
	if (both)
		s->passes[0] = s->passes[1] = 1;
}

/* Judges a send before it is made, by its first octets: so that it has its
 * place before the answer. What cannot be read yet is judged when it is sent. */
static __always_inline void judge_beginning(struct tcp_state *s, const struct transfer *t, bool *fresh)
{
	u64 addr = 0, n = first_buffer(t->shape, t->buf, t->count, &addr);
	u8 head[HEAD] = {};
	if (n > HEAD)
		n = HEAD;
	if (!n || bpf_probe_read_user(head, n, (void *)addr))
		return;
	if (s->verdict == VERDICT_HTTP2) { /* after a change from HTTP/1 */
		s->passes[DIR_SEND] = is_preface(head, n);
		return;
	}
	if (s->verdict != VERDICT_OPEN || !(is_preface(head, n) || is_settings(head, n)))
		return;
	*fresh = tcp_moved_only((struct sock *)t->sk, 0);
	accept_http2(s, true);
}

/* Judges a call by what it moved. The octets that are not HTTP/2 yet, of a
 * response that changes to it, are returned. */
static __noinline u32 judge(struct tcp_state *s, const struct transfer *t, u64 n, bool *fresh)
{
	u8 dir = t->dir & 1;
	u8 head[HEAD] = {};
	u64 addr = 0, flat = first_buffer(t->shape, t->buf, t->count, &addr);
	if (flat > n)
		flat = n;
	u64 have = flat > HEAD ? HEAD : flat;
	if (!have || bpf_probe_read_user(head, have, (void *)addr))
		have = 0;
	if (have && s->verdict == VERDICT_HTTP2) {
		s->passes[dir] = is_preface(head, have);
		return 0;
	}
	if (have && s->verdict == VERDICT_ASKED) {
		if (dir == s->asker)
			return 0;
		if (is_settings(head, have)) { /* a server that speaks nothing else */
			accept_http2(s, false);
			s->passes[dir] = 1;
			*fresh = s->unused;
			return 0;
		}
		u32 length = is_response(head, have) && is_switching(head, have) ? switching_length(addr, flat) : 0;
		if (!length) {
			s->verdict = VERDICT_REFUSED;
			return 0;
		}
		accept_http2(s, false);
		s->passes[dir] = 1;
		*fresh = true;
		return length;
	}
	if (have && s->verdict == VERDICT_OPEN) {
		if (is_preface(head, have) || is_settings(head, have)) {
			*fresh = dir == DIR_RECV && tcp_moved_only((struct sock *)t->sk, n);
			accept_http2(s, true);
			return 0;
		}
		if (is_request(head, have)) {
			s->verdict = VERDICT_ASKED;
			s->asker = dir;
			return 0;
		}
		if (is_tls(head, have) || is_response(head, have)) {
			s->verdict = VERDICT_REFUSED;
			return 0;
		}
		/* Open for long, perhaps. */
		u32 due = s->due[dir];
		u32 chain = find_chain(addr, flat, n);
		if ((due && due == n) || chain == CHAIN) {
			accept_http2(s, true);
			return 0;
		}
		s->due[dir] = chain;
	}
	if (++s->unjudged >= MAX_UNJUDGED)
		s->verdict = VERDICT_REFUSED;
	return 0;
}

/* A call is followed no more. */
static __always_inline void end_transfer(struct transfer *t)
{
	u64 sk = t->sk;
	struct tcp_state *s = bpf_map_lookup_elem(&sockets, &sk);
	if (s && s->gen == t->gen)
		__sync_fetch_and_add(&s->busy[t->dir & 1], -1);
	t->sk = 0;
}

/* Gives where the call is kept until it ends, 0 where it is not followed. */
static __always_inline struct running *begin_transfer(struct task_struct *task, struct tcp_state *s, struct transfer *t)
{
	struct running *running = bpf_task_storage_get(&transfers, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!running) {
		count(COUNT_NO_STATE, 1);
		return 0;
	}
	if (running->t.sk)
		end_transfer(&running->t); /* its end was missed */
	running->t = *t;
	__sync_fetch_and_add(&s->busy[t->dir & 1], 1);
	return running;
}

/* A call begins: a send has its place now. */
static __always_inline void begin(struct task_struct *task, struct tcp_state *s, struct transfer *t)
{
	u64 id = bpf_get_current_pid_tgid();
	bool fresh = false;

	t->gen = s->gen;
	if (t->dir == DIR_SEND && !s->passes[DIR_SEND])
		judge_beginning(s, t, &fresh);
	if (s->verdict == VERDICT_HTTP2 && s->passes[t->dir & 1]) {
		struct conn *c = tcp_conn(s, t->sk, id, fresh);
		if (!c)
			return;
		tcp_bind(c, t->sk, id);
		tcp_catch_up(s, c, t->sk, t->dir, 0, 0, 0);
		struct thread *th = thread_of(id, false);
		if (!th)
			return;
		t->depth = th->depth;
		t->followed = 1;
		if (t->dir == DIR_SEND) {
			struct emission e = {
				.who = who_is(th, id, t->sk, c->gen), .pos = c->pos[DIR_SEND],
				.kind = RECORD_BEGIN, .dir = DIR_SEND,
			};
			emit_bare(&e, 0);
			t->begin = e.begin;
		}
	}
	if (!t->begin && t->dir == DIR_SEND)
		t->begin = bpf_ktime_get_boot_ns();
	begin_transfer(task, s, t);
}

static __always_inline void finish(struct tcp_state *s, struct running *running, u64 id, s64 ret)
{
	const struct transfer *t = &running->t;
	u8 dir = t->dir & 1;
	u64 n = ret > 0 ? ret : 0, count = t->count, skip = 0;
	bool fresh = false;

	if (t->shape == SHAPE_MMSG) {
		count = n;
		n = sum_messages(t->buf, count);
	}
	if (n && !s->passes[dir])
		skip = judge(s, t, n, &fresh);
	if (s->verdict != VERDICT_HTTP2 || !s->passes[dir])
		return;
	if (!t->followed && !n)
		return;
	struct conn *c = tcp_conn(s, t->sk, id, fresh);
	struct thread *th = thread_of(id, false);
	if (!c || !th)
		return;
	tcp_bind(c, t->sk, id);
	n -= skip;
	tcp_catch_up(s, c, t->sk, dir, n, 1, t);

	struct walk *w = &running->walk;
	struct emission *e = &w->frames.e;
	__builtin_memset(w, 0, sizeof(*w));
	*e = (struct emission){
		.who = who_is(th, id, t->sk, c->gen), .begin = t->begin, .pos = c->pos[dir],
		.kind = RECORD_DATA, .dir = dir, .flags = RECORD_LAST,
	};
	e->who.depth = t->depth;
	if (!n) {
		if (dir == DIR_SEND && t->followed) {
			e->kind = RECORD_NOTHING;
			emit_bare(e, 0);
		}
		return;
	}
	u64 end = c->pos[dir] + n;
	c->pos[dir] = end;
	w->skip = skip;
	if (t->shape == SHAPE_NONE) {
		emit_unseen(c, e, n);
		return;
	}
	if (headers_only)
		w->frames.f = c->frames[dir];
	begin_walk(w, t->shape, t->buf, count, n + skip);
	for (u32 i = 0; i < MAX_STEPS / STEPS; i++)
		if (walk_steps(w))
			break;
	if (headers_only) {
		if (w->total)
			frames_lost(&w->frames.f);
		c->frames[dir] = w->frames.f;
	}
	if (e->pos < end) {
		e->flags = RECORD_LAST;
		emit_bare(e, end - e->pos);
	}
}

/* The call that the thread is inside ends. */
static __always_inline void end(struct running *running, s64 ret)
{
	u64 sk = running->t.sk;
	struct tcp_state *s = bpf_map_lookup_elem(&sockets, &sk);
	if (s && s->gen == running->t.gen)
		finish(s, running, bpf_get_current_pid_tgid(), ret);
	end_transfer(&running->t);
}

#endif
