/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * TCP sockets as the kernel has them.
 */
#ifndef H2SNIFF_SOCKET_H
#define H2SNIFF_SOCKET_H

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "event.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define IPPROTO_TCP 6

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE_WAIT = 8,
};

/* What a descriptor of the task leads to, 0 where it is not open. The first
 * steps are plain loads: the verifier knows the type of task. */
static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table = task->files->fdt;
	struct file **files = table->fd, *file = 0;
	if (fd >= table->max_fds || bpf_probe_read_kernel(&file, sizeof(file), files + fd))
		return 0;
	return file;
}

/* The socket of a file, if it is one: else anything. */
static __always_inline struct sock *sock_of(struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* Whether the socket is one of TCP, and no protocol between it and the program
 * changes its octets (kernel TLS). */
static __always_inline bool is_plain_tcp(struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return false;
	return !BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_ulp_ops);
}

/* Whether the file is the socket, and that so. */
static __always_inline bool is_tcp(struct file *file, struct sock *sk)
{
	return sk && (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFSOCK && is_plain_tcp(sk);
}

/* False where the socket is not connected (yet). */
static __always_inline bool tcp_address(struct sock *sk, struct address *a)
{
	__builtin_memset(a, 0, sizeof(*a));
	a->cookie = (u64)sk;
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	a->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	a->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (a->family == AF_INET6) {
		BPF_CORE_READ_INTO(&a->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&a->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		u32 remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(a->local, &local, 4);
		__builtin_memcpy(a->remote, &remote, 4);
	}
	return a->local_port && a->remote_port;
}

/* The kernel's own position in a direction, modulo 2^32: it moves with what no
 * followed call has moved too (io_uring, another process). */
static __always_inline bool tcp_position(struct sock *sk, u8 dir, u32 *position)
{
	struct tcp_sock *tcp = (void *)sk;
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* In others SYN and FIN, which have positions too, can be in between. */
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT &&
	    (dir != DIR_RECV || (state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2)))
		return false;
	if (dir != DIR_RECV) {
		*position = BPF_CORE_READ(tcp, write_seq);
		return true;
	}
	u32 taken = BPF_CORE_READ(tcp, copied_seq);
	if (state == TCP_CLOSE_WAIT && taken == BPF_CORE_READ(tcp, rcv_nxt))
		taken--; /* FIN was taken */
	*position = taken;
	return true;
}

/* Whether the program has sent nothing on the connection, and received n octets.
 * Octets that arrive meanwhile make bytes_received, which is read last, too large,
 * never too small: it is tried again. FIN counts in all three. Not inlined: those
 * that ask have little stack left. */
__attribute__((unused)) static __noinline bool tcp_moved_only(struct sock *sk, u64 n)
{
	struct tcp_sock *tcp = (void *)sk;
	for (u32 i = 0; i < 4; i++) {
		u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
		u32 next = BPF_CORE_READ(tcp, rcv_nxt);
		u32 unread = next - BPF_CORE_READ(tcp, copied_seq);
		if (!unread && state == TCP_CLOSE_WAIT)
			unread = 1; /* FIN was taken, and is no octet */
		if (BPF_CORE_READ(tcp, bytes_received) - unread == n)
			return !BPF_CORE_READ(tcp, data_segs_out);
	}
	return false;
}

#endif
