//go:build ignore

// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Cleartext HTTP/2: what followed processes send and receive on TCP sockets, as
 * TCP tells of it where the kernel can, else as system calls show it. What is not
 * seen so, and what another process that shares the socket moves, has a length by
 * the kernel's own positions.
 */
#include "transfer.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 2 /* asm/thread_info.h */
enum {
	NR_read = 0, NR_write = 1, NR_readv = 19, NR_writev = 20, NR_sendfile = 40,
	NR_sendto = 44, NR_recvfrom = 45, NR_sendmsg = 46, NR_recvmsg = 47, NR_splice = 275,
	NR_recvmmsg = 299, NR_sendmmsg = 307, NR_preadv2 = 327, NR_pwritev2 = 328,
};
static __always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}
#else
#define TIF_32BIT 22 /* asm/thread_info.h */
enum {
	NR_read = 63, NR_write = 64, NR_readv = 65, NR_writev = 66, NR_sendfile = 71,
	NR_sendto = 206, NR_recvfrom = 207, NR_sendmsg = 211, NR_recvmsg = 212, NR_splice = 76,
	NR_recvmmsg = 243, NR_sendmmsg = 269, NR_preadv2 = 286, NR_pwritev2 = 287,
};
static __always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.flags & 1ul << TIF_32BIT;
}
#endif

enum {
	MSG_PEEK = 2,
	MSG_TRUNC = 0x20,
	MSG_ERRQUEUE = 0x2000,
	MSG_OOB = 1,
};

/* What a system call would move, and the descriptor; false where nothing that
 * counts: what is only peeked at, errors, urgent octets. */
static __always_inline bool understand(long nr, struct pt_regs *regs, struct transfer *t, u32 *fd)
{
	u64 flags = 0;

	*fd = REG_ARG1(regs);
	t->buf = REG_ARG2(regs);
	t->count = REG_ARG3(regs);
	t->dir = DIR_SEND;
	switch (nr) {
	case NR_recvfrom:
		flags = SYSCALL_ARG4(regs);
		/* fallthrough */
	case NR_read:
		t->dir = DIR_RECV;
		t->shape = SHAPE_FLAT;
		break;
	case NR_write:
	case NR_sendto:
		t->shape = SHAPE_FLAT;
		break;
	case NR_readv:
	case NR_preadv2:
		t->dir = DIR_RECV;
		t->shape = SHAPE_VEC;
		break;
	case NR_writev:
	case NR_pwritev2:
		t->shape = SHAPE_VEC;
		break;
	case NR_recvmsg:
		t->dir = DIR_RECV;
		flags = t->count;
		t->shape = SHAPE_MSG;
		break;
	case NR_sendmsg:
		t->shape = SHAPE_MSG;
		break;
	case NR_recvmmsg:
		t->dir = DIR_RECV;
		flags = SYSCALL_ARG4(regs);
		t->shape = SHAPE_MMSG;
		break;
	case NR_sendmmsg:
		t->shape = SHAPE_MMSG;
		break;
	case NR_sendfile:
		t->shape = SHAPE_NONE;
		break;
	case NR_splice: /* fd_in, off_in, fd_out: sockets have no offset */
		t->shape = SHAPE_NONE;
		if (t->buf) {
			*fd = t->count; /* off_in is that of a file */
		} else {
			t->dir = DIR_NONE; /* either may be the socket */
		}
		break;
	default:
		return false;
	}
	if (t->dir != DIR_SEND) {
		if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
			return false;
		if (flags & MSG_TRUNC)
			t->shape = SHAPE_NONE; /* taken from the socket, not copied */
	}
	return true;
}

/* The TCP socket that a call is on, and what is known of it; 0 where there is
 * nothing to follow. */
static __always_inline struct tcp_state *tcp_state(struct task_struct *task, struct transfer *t, u32 fd, u64 received)
{
	struct file *file = file_of(task, fd);
	if (!file)
		return 0;
	struct sock *sk = sock_of(file);
	u64 key = (u64)sk;
	/* The usual case first, and quickly: what is here is a TCP socket, or was
	 * found by chance in a file that is none. */
	struct tcp_state *s = bpf_map_lookup_elem(&sockets, &key);
	if (s && s->verdict == VERDICT_REFUSED)
		return 0;
	bool tcp = is_tcp(file, sk);
	if (t->dir == DIR_NONE) { /* splice */
		t->dir = DIR_RECV;
		if (!tcp) {
			t->dir = DIR_SEND;
			file = file_of(task, t->count);
			if (!file)
				return 0;
			sk = sock_of(file);
			tcp = is_tcp(file, sk);
			key = (u64)sk;
			s = bpf_map_lookup_elem(&sockets, &key);
		}
	}
	if (!tcp)
		return 0;
	t->sk = key;
	if (!s)
		s = open_tcp(key, received);
	return s && s->verdict != VERDICT_REFUSED ? s : 0;
}

/*
 * Before Linux 6.16: the beginning and end of each system call.
 */

/* What most calls are is found out first, and without a helper: most are none
 * that count. */
SEC("tp_btf/sys_enter")
int enter(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct transfer t = {};
	u32 fd;

	if (!understand(ctx[1], (void *)ctx[0], &t, &fd))
		return 0;
	if (!everyone && !bpf_task_storage_get(&followed, task->group_leader, 0, 0))
		return 0;
	if (ending || is_compat(task))
		return 0;
	struct tcp_state *s = tcp_state(task, &t, fd, 0);
	if (!s)
		return 0;
	begin(task, s, &t);
	return 0;
}

SEC("tp_btf/sys_exit")
int leave(u64 *ctx)
{
	struct running *running = bpf_task_storage_get(&transfers, bpf_get_current_task_btf(), 0, 0);
	if (ending || !running || !running->t.sk)
		return 0;
	end(running, ctx[1]);
	return 0;
}

/* A thread that is killed inside a call does not return from it. */
SEC("tp_btf/sched_process_exit")
int killed(u64 *ctx)
{
	struct running *running = bpf_task_storage_get(&transfers, bpf_get_current_task_btf(), 0, 0);
	(void)ctx;
	if (running && running->t.sk)
		end_transfer(&running->t);
	return 0;
}

/*
 * From Linux 6.16 on TCP tells of its sends and receives itself, so that other
 * system calls cost nothing. The buffers of a send are in its message, however it
 * was asked for; those of a receive are in the registers of the system call alone,
 * so those of io_uring, and which of recvmmsg's it is, are not known.
 */

/* A socket on which calls of the task count, as far as its state tells: 0 is one
 * that has none. */
static __always_inline bool counts(struct task_struct *task, u64 sk, struct tcp_state **s)
{
	if (!everyone && !bpf_task_storage_get(&followed, task->group_leader, 0, 0))
		return false;
	*s = bpf_map_lookup_elem(&sockets, &sk);
	return !ending && !(*s && (*s)->verdict == VERDICT_REFUSED) && !is_compat(task);
}

/* Each piece of a send, before it is taken, while the socket is locked. */
SEC("tp_btf/tcp_sendmsg_locked")
int sending(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sock *sk = (void *)ctx[0];
	struct msghdr *msg = (void *)ctx[1];
	struct transfer t = {.sk = ctx[0], .dir = DIR_SEND, .shape = SHAPE_NONE};
	struct tcp_state *s;

	if (!counts(task, t.sk, &s))
		return 0;
	struct running *running = bpf_task_storage_get(&transfers, task, 0, 0);
	if (running && running->t.sk == t.sk)
		return 0; /* the next piece */
	/* The kernel's own sockets have no file. */
	if (!is_plain_tcp(sk) || !BPF_CORE_READ(sk, sk_socket, file))
		return 0;
	if (!s)
		s = open_tcp(t.sk, 0);
	if (!s)
		return 0;
	u8 type = BPF_CORE_READ(msg, msg_iter.iter_type);
	u64 offset = BPF_CORE_READ(msg, msg_iter.iov_offset);
	if (type == ITER_UBUF) {
		t.shape = SHAPE_FLAT;
		t.buf = (u64)BPF_CORE_READ(msg, msg_iter.ubuf) + offset;
		t.count = BPF_CORE_READ(msg, msg_iter.count);
	} else if (type == ITER_IOVEC && !offset) {
		t.shape = SHAPE_KERNEL_VEC;
		t.buf = (u64)BPF_CORE_READ(msg, msg_iter.__iov);
		t.count = BPF_CORE_READ(msg, msg_iter.nr_segs);
	}
	begin(task, s, &t);
	return 0;
}

SEC("tp_btf/sock_send_length")
int sent(u64 *ctx)
{
	struct running *running = bpf_task_storage_get(&transfers, bpf_get_current_task_btf(), 0, 0);
	if (!ending && running && running->t.sk == ctx[0] && running->t.dir == DIR_SEND)
		end(running, (s32)ctx[1]);
	return 0;
}

/* The system call by which the task receives from the socket. */
static __always_inline struct tcp_state *receive_call(struct task_struct *task, u64 sk, struct transfer *t, u64 received)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	u32 fd;
	if (!SYSCALL_RUNS(regs) || !understand(SYSCALL_NR(regs), regs, t, &fd) || t->dir != DIR_RECV)
		return 0;
	struct tcp_state *s = tcp_state(task, t, fd, received);
	if (!s || t->sk != sk)
		return 0;
	if (t->shape == SHAPE_MMSG)
		t->shape = SHAPE_NONE; /* which of the messages is not known */
	struct thread *th = thread_of(bpf_get_current_pid_tgid(), false);
	t->depth = th ? th->depth : 0;
	t->gen = s->gen;
	return s;
}

static __always_inline bool place(struct transfer *t)
{
	return t->placed = tcp_position((struct sock *)t->sk, DIR_RECV, &t->place);
}

/* What no system call tells of that ends with received (splice, io_uring) has no
 * octets, but a length. */
static __always_inline void skip_received(struct task_struct *task, struct tcp_state *s, u64 sk)
{
	struct transfer t = {.sk = sk, .gen = s->gen, .dir = DIR_RECV, .shape = SHAPE_NONE};
	if (s->verdict != VERDICT_HTTP2 || !s->passes[DIR_RECV])
		return;
	struct conn *c = tcp_conn(s, sk, bpf_get_current_pid_tgid(), false);
	if (!c || !place(&t))
		return;
	u32 n = t.place - (u32)c->pos[DIR_RECV] - c->base[DIR_RECV];
	struct running *running = begin_transfer(task, s, &t);
	if (running)
		end(running, c->base[DIR_RECV] && n <= MOST_RUNNING ? n : 0);
}

/* A receive that has taken octets, while the socket is locked. */
SEC("tp_btf/tcp_rcv_space_adjust")
int receiving(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 sk = ctx[0];
	struct transfer t = {};
	struct tcp_state *s;

	if (!counts(task, sk, &s) || !s)
		return 0;
	struct running *running = bpf_task_storage_get(&transfers, task, 0, 0);
	if (running && running->t.sk == sk) {
		place(&running->t); /* of the next piece */
		return 0;
	}
	if (receive_call(task, sk, &t, 0)) {
		place(&t);
		begin_transfer(task, s, &t);
	} else {
		skip_received(task, s, sk);
	}
	return 0;
}

SEC("tp_btf/sock_recv_length")
int received(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 sk = ctx[0];
	s32 n = ctx[1];
	struct tcp_state *s;

	if (!counts(task, sk, &s))
		return 0;
	struct running *running = bpf_task_storage_get(&transfers, task, 0, 0);
	if (!running || running->t.sk != sk) {
		struct transfer t = {};
		if (n <= 0)
			return 0;
		s = receive_call(task, sk, &t, n);
		if (!s)
			return 0;
		running = begin_transfer(task, s, &t);
	}
	if (running && running->t.sk == sk && running->t.dir == DIR_RECV)
		end(running, n);
	return 0;
}

/* The last descriptor was closed and TCP is done with the socket. */
SEC("tp_btf/tcp_destroy_sock")
int destroy(u64 *ctx)
{
	u64 sk = ctx[0];
	struct tcp_state *s = bpf_map_lookup_elem(&sockets, &sk);
	if (ending || !s)
		return 0;
	for (u32 i = 0; i < MAX_TGIDS; i++) {
		struct conn_key key = {.tgid = s->tgids[i], .handle = sk};
		struct conn *c = key.tgid ? conn_of(&key) : 0;
		if (!c)
			continue;
		struct who w = {.thread = key.tgid << 32, .handle = sk, .gen = c->gen};
		tell_close(&w, &key, c);
	}
	bpf_map_delete_elem(&sockets, &sk);
	return 0;
}

/* Processes that are followed by the name of their leader, from the moment when
 * it gets that name: a process that executes a program has sent nothing yet. */
const volatile u64 follow_name[2]; /* octets as in task->comm; none begin with 0 */

static __noinline bool has_name(struct task_struct *task, const void *comm)
{
	u64 name[2] = {};
	if (!follow_name[0] || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), comm);
	return name[0] == follow_name[0] && name[1] == follow_name[1] && local_pid(task);
}

/* It gets a name, by execve or by itself. */
SEC("tp_btf/task_rename")
int named(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u8 how = FOLLOW_TREE;
	if (has_name(task, (void *)ctx[1]))
		bpf_task_storage_get(&followed, task, &how, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	if (child->pid != child->tgid)
		return 0;
	u8 *how = bpf_task_storage_get(&followed, parent->group_leader, 0, 0);
	u8 same = how ? *how : FOLLOW_TREE;
	/* A thread's name is its child's. */
	if (how || has_name(child, child->comm))
		bpf_task_storage_get(&followed, child, &same, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u8 *how = bpf_task_storage_get(&followed, task, 0, 0);
	if (how && *how == FOLLOW_IMAGE)
		bpf_task_storage_delete(&followed, task);
	return 0;
}
