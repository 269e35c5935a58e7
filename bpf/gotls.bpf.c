//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Plaintext of Go's crypto/tls, from probes behind the stack check and at the
 * return instructions of the methods of *tls.Conn, or at what these run before
 * they return: never from return probes, which break when a goroutine's stack
 * moves.
 */
#include "frames.h"
#include "goroutine.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* What is known of a *tls.Conn beside its positions. */
struct session {
	u64 closed; /* boot time, 0 while it is open and after the handshake of
		     * another Conn in the same memory */
	u8 role;    /* OP_CONNECT or OP_ACCEPT, 0 where its handshake was not seen */
	u8 broken;  /* a Write failed: the next ones most likely fail too */
	u8 pad[6];
};

/* How long calls on a closed Conn are disregarded, which move nothing. Later
 * there may be another one whose handshake was not seen. */
#define CLOSED_NS 10000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct conn_key);
	__type(value, struct session);
} sessions SEC(".maps");

static __always_inline bool is_handshake(u8 op) { return op == OP_GO_CONNECT || op == OP_GO_ACCEPT; }

static __always_inline bool is_ignored(struct conn_key *key, const struct conn *c)
{
	u64 *gen = c ? bpf_map_lookup_elem(&ignored, key) : 0;
	return gen && *gen == c->gen;
}

static __always_inline bool is_closed(const struct session *s)
{
	return s && s->closed && bpf_ktime_get_boot_ns() - s->closed < CLOSED_NS;
}

/* The connection of a handle, opened where there is none. */
static __always_inline struct conn *go_conn(struct thread *th, u64 id, struct conn_key *key, u32 library)
{
	struct conn *c = conn_of(key);
	if (c)
		return c;
	struct session *s = bpf_map_lookup_elem(&sessions, key);
	u8 op = s && s->role ? s->role : OP_OTHER;
	return open_conn(th, id, key->handle, op | (u64)library << COOKIE_LIBRARY);
}

static __always_inline bool is_transfer(u8 op) { return op == OP_GO_READ || op == OP_GO_WRITE; }

static __always_inline u64 *go_calling(struct conn *c, u8 op) { return &c->calling[op == OP_GO_WRITE ? DIR_SEND : DIR_RECV]; }

/* A Read that is in progress can still return octets, and a Write tell that it
 * has not sent what it was said to: the connection ends with them then. */
static __noinline void go_close(u64 id, struct conn_key *key)
{
	struct session closed = {.closed = bpf_ktime_get_boot_ns()};
	struct session *s = bpf_map_lookup_elem(&sessions, key);
	struct conn *c = conn_of(key);
	if (s) {
		s->role = s->broken = 0;
		__sync_lock_test_and_set(&s->closed, closed.closed);
	} else if (c) {
		bpf_map_update_elem(&sessions, key, &closed, BPF_ANY);
	}
	/* Full barriers: a call on another processor tells that it is there and
	 * then looks for closed. */
	if (!c || (!__sync_fetch_and_add(&c->calling[DIR_SEND], 0) && !__sync_fetch_and_add(&c->calling[DIR_RECV], 0)))
		end_conn(id, key->handle, false);
}

/* A Read or Write of a goroutine begins. Returns whether the connection has been
 * closed meanwhile. */
static __noinline bool go_enter(struct conn *c, struct conn_key *key, u8 op, u64 g)
{
	__sync_lock_test_and_set(go_calling(c, op), g);
	return is_closed(bpf_map_lookup_elem(&sessions, key));
}

/* It is over. */
static __noinline void go_leave(u64 id, struct conn_key *key, u8 op, u64 g)
{
	struct conn *c = conn_of(key);
	if (!c || __sync_val_compare_and_swap(go_calling(c, op), g, 0) != g)
		return;
	struct session *s = bpf_map_lookup_elem(&sessions, key);
	if (s && s->closed && !c->calling[DIR_SEND] && !c->calling[DIR_RECV])
		end_conn(id, key->handle, false);
}

/* A handshake begins: the first of a new Conn, or one that a call on it runs. */
static __noinline void go_handshake(u64 id, struct conn_key *key, u8 op, bool inside)
{
	struct session s = {.role = op == OP_GO_CONNECT ? OP_CONNECT : OP_ACCEPT};
	struct conn *c = conn_of(key);
	if (c && !inside && (c->pos[0] || c->pos[1]))
		end_conn(id, key->handle, false); /* was never closed, and freed */
	bpf_map_update_elem(&sessions, key, &s, BPF_ANY);
}

/* Tells n octets that a call moves, from the position call->pos on. In a
 * function of its own for the sake of the stack: before Linux 6.10 or so those
 * of all functions in a chain of calls are added up. */
static __noinline void go_tell(struct thread *th, u64 id, struct conn *c, struct go_call *call, u64 n)
{
	struct emission e = {
		.who = who_is(th, id, call->handle, call->gen), .buf = call->data, .pos = call->pos,
		.kind = RECORD_DATA, .dir = call->op == OP_GO_WRITE ? DIR_SEND : DIR_RECV,
	};
	emit_call(th, c, &e, n);
}

/* Tells that the last n octets of a Write were not sent. */
static __noinline void go_correct(struct thread *th, u64 id, struct go_call *call, u64 n)
{
	struct emission e = {
		.who = who_is(th, id, call->handle, call->gen), .pos = call->pos + call->len - n,
		.kind = RECORD_UNSENT, .dir = DIR_SEND,
	};
	emit_bare(&e, n);
}

SEC("uprobe")
int go_entry(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u64 id = bpf_get_current_pid_tgid();
	struct conn_key key = {.tgid = id >> 32, .handle = GO_ARG1(ctx)};
	struct goroutine_key at = {.tgid = id >> 32, .g = GO_G(ctx)};
	u8 op = cookie;
	struct stack stack;

	if (ending)
		return 0;
	if (op == OP_GO_CLOSE) {
		go_close(id, &key);
		return 0;
	}
	struct conn *c = conn_of(&key);
	if (is_ignored(&key, c) && !is_handshake(op))
		return 0;
	struct session *s = bpf_map_lookup_elem(&sessions, &key);
	if (is_closed(s) && !is_handshake(op))
		return 0;
	struct thread *th = thread_of(id, true);
	if (!th || !th->pid)
		return 0; /* not of h2sniff's pid namespace: nobody could name it */
	if (!stack_of(at.g, &stack))
		return 0;
	u64 frame = stack.hi - GO_SP(ctx);

	struct goroutine *gr = bpf_map_lookup_elem(&goroutines, &at);
	if (!gr) {
		static const struct goroutine zero;
		bpf_map_update_elem(&goroutines, &at, &zero, BPF_NOEXIST);
		gr = bpf_map_lookup_elem(&goroutines, &at);
		if (!gr) {
			count(COUNT_NO_STATE, 1);
			return 0;
		}
	}
	bool inside = go_unwind(gr, frame, key.handle);
	u64 depth = gr->depth;
	struct go_call *call = go_call_at(gr, depth);
	if (!call) {
		count(COUNT_TOO_DEEP, 1);
		return 0;
	}
	if (is_handshake(op)) {
		go_handshake(id, &key, op, inside);
		c = conn_of(&key);
	} else {
		c = go_conn(th, id, &key, cookie >> COOKIE_LIBRARY);
		if (!c)
			return 0;
	}
	call->handle = key.handle;
	call->gen = c ? c->gen : 0;
	call->buf = GO_ARG2(ctx);
	call->len = GO_ARG3(ctx);
	call->frame = frame;
	call->library = cookie >> COOKIE_LIBRARY;
	call->op = op;
	call->told = 0;
	call->on_stack = call->buf >= stack.lo && call->buf < stack.hi;
	if (call->on_stack)
		call->buf = stack.hi - call->buf;
	gr->depth = depth + 1;
	bool closed = c && is_transfer(op) && go_enter(c, &key, op, at.g);
	if (op != OP_GO_WRITE || !c || closed || !call->len || (s && s->broken))
		return 0;

	/* Write takes all, or breaks the connection: its octets are told now. */
	call->told = 1;
	call->pos = __sync_fetch_and_add(&c->pos[DIR_SEND], call->len);
	call->data = GO_ARG2(ctx);
	go_tell(th, id, c, call, call->len);
	return 0;
}

/* What a Read that began before the attach was called with: the compiler keeps
 * its register arguments in the caller's frame, in this order (abi-internal.md).
 * h2sniff has seen in the code that this function does. */
struct homes {
	u64 handle, buf, len;
};

static __noinline bool go_recover(struct go_call *call, u64 cookie, u64 sp, s64 n)
{
	struct homes h;
	if (!(cookie & COOKIE_HOMES) || bpf_probe_read_user(&h, sizeof(h), (void *)(sp + 8)))
		return false;
	if (!h.handle || !h.buf || (u64)n > h.len)
		return false;
	call->handle = h.handle;
	call->buf = h.buf;
	call->len = h.len;
	call->op = OP_GO_READ;
	call->library = cookie >> COOKIE_LIBRARY;
	return true;
}

/* At what a function defers (x86 only): the first result of that, and its stack
 * pointer at its entry. False where a panic runs it, from elsewhere than the
 * function itself: that does not return. The frame pointer is the function's. */
static __always_inline bool go_result(struct pt_regs *ctx, u64 cookie, s64 *n, u64 *sp)
{
	u64 frame = *sp + 8;
	if (GO_CLOSURE(ctx) != frame + 8 * (cookie >> COOKIE_CLOSURE & COOKIE_PLACE))
		return false;
	if (bpf_probe_read_user(n, sizeof(*n), (void *)(frame + 8 * (cookie >> COOKIE_RESULT & COOKIE_PLACE)))) {
		count(COUNT_UNREAD, 1);
		return false;
	}
	*sp = GO_FRAME(ctx) + 8;
	return true;
}

SEC("uprobe")
int go_return(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u64 id = bpf_get_current_pid_tgid();
	struct goroutine_key at = {.tgid = id >> 32, .g = GO_G(ctx)};
	u8 op = cookie;
	s64 n = GO_RET(ctx);
	u64 sp = GO_SP(ctx);
	struct stack stack;
	struct go_call call = {};

	if (ending)
		return 0;
	if (cookie & COOKIE_DEFERRED && !go_result(ctx, cookie, &n, &sp))
		return 0;
	if (!stack_of(at.g, &stack))
		return 0;
	u64 frame = stack.hi - sp;
	struct goroutine *gr = bpf_map_lookup_elem(&goroutines, &at);
	if (gr) {
		go_pop(gr, frame, op, &call);
		if (!gr->depth)
			bpf_map_delete_elem(&goroutines, &at);
	}
	if (is_handshake(op))
		return 0;
	if (n < 0)
		n = 0;
	bool began = call.handle; /* else before the attach, or it is ignored */
	if (!began && (op != OP_GO_READ || !n || !go_recover(&call, cookie, sp, n)))
		return 0;

	struct conn_key key = {.tgid = id >> 32, .handle = call.handle};
	struct conn *c = conn_of(&key);
	struct session *s = bpf_map_lookup_elem(&sessions, &key);
	struct thread *th = thread_of(id, true);
	if (!th || !th->pid)
		return 0;
	if (began && (!c || c->gen != call.gen)) { /* closed as the call began */
		if (n)
			count(COUNT_NO_STATE, 1);
		return 0;
	}
	if (!began) {
		if (is_ignored(&key, c) || is_closed(s))
			return 0;
		c = go_conn(th, id, &key, call.library);
		if (!c)
			return 0;
	}
	call.gen = c->gen;
	bool whole = (u64)n >= call.len;
	if (!call.told && n) {
		call.pos = __sync_fetch_and_add(&c->pos[op == OP_GO_WRITE ? DIR_SEND : DIR_RECV], n);
		call.data = call.on_stack ? stack.hi - call.buf : call.buf;
		go_tell(th, id, c, &call, n);
	} else if (call.told && !whole) {
		struct session broken = {.broken = 1};
		if (s)
			s->broken = 1;
		else
			bpf_map_update_elem(&sessions, &key, &broken, BPF_NOEXIST);
		go_correct(th, id, &call, call.len - n);
	}
	if (op == OP_GO_WRITE && !call.told && s && whole && call.len)
		s->broken = 0;
	go_leave(id, &key, op, at.g);
	return 0;
}

/*
 * A receive inside a call of the goroutine binds its outermost handle: R14 (x28
 * on arm64) still holds the goroutine when Go makes a system call. In a
 * handshake only the first counts: callbacks, which run later, may receive from
 * other sockets.
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int go_receive(u64 *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct goroutine_key at = {.tgid = id >> 32, .g = GO_G(regs)};
	struct goroutine *gr = bpf_map_lookup_elem(&goroutines, &at);
	struct stack stack;
	if (ending || !gr || !gr->depth)
		return 0;
	if (bpf_probe_read_user(&stack, sizeof(stack), (void *)at.g))
		return 0;
	struct go_call *call = &gr->calls[0];
	u64 sp = GO_SP(regs);
	if (sp < stack.lo || sp >= stack.hi || call->frame >= stack.hi - sp)
		return 0; /* not inside that call any more */

	struct conn_key key = {.tgid = id >> 32, .handle = call->handle};
	struct thread *th = thread_of(id, true);
	if (!th || !th->pid)
		return 0;
	struct conn *c = conn_of(&key);
	if (!c && is_handshake(call->op)) {
		c = go_conn(th, id, &key, call->library);
		call->gen = c ? c->gen : 0;
	}
	if (!c || c->gen != call->gen || (is_handshake(call->op) && c->exact))
		return 0;
	struct sock *sk = (void *)ctx[0];
	u64 cookie = bpf_get_socket_cookie(sk);
	if (c->exact == cookie)
		return 0;
	c->exact = cookie;
	struct address a;
	read_address(sk, &a);
	emit_address(th, id, key.handle, c->gen, &a, true);
	return 0;
}
