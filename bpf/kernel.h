/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The few kernel types the programs touch, as CO-RE relocations find them: a
 * whole vmlinux.h would tie the sources to one kernel and one architecture.
 */
#ifndef H2SNIFF_KERNEL_H
#define H2SNIFF_KERNEL_H

typedef signed char s8;
typedef unsigned char u8;
typedef signed short s16;
typedef unsigned short u16;
typedef signed int s32;
typedef unsigned int u32;
typedef signed long long s64;
typedef unsigned long long u64;

/* Names that bpf_helper_defs.h expects. */
#define bool _Bool
#define true 1
#define false 0

typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u64 __be64;
typedef u32 __wsum;
typedef u16 __sum16;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	u32 inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct inode {
	u16 i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_info {
	unsigned long flags; /* arm64 says here whether the task is 32-bit */
	u32 status;	     /* x86: whether the system call is */
};

struct task_struct {
	struct thread_info thread_info;
	struct files_struct *files;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	char comm[16];
};

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	u16 sk_protocol;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

/* include/linux/uio.h */
enum {
	ITER_UBUF = 0,
	ITER_IOVEC = 1,
};

struct iov_iter {
	u8 iter_type;
	u64 iov_offset;
	void *ubuf, *__iov;
	u64 count, nr_segs;
};

struct msghdr {
	struct iov_iter msg_iter;
};

struct inet_connection_sock {
	void *icsk_ulp_ops;
};

struct tcp_sock {
	u32 copied_seq, write_seq, rcv_nxt, data_segs_out;
	u64 bytes_received;
};

#pragma clang attribute pop

/*
 * The registers of a probed process, laid out as the kernel's uprobe context
 * (user ABI, fixed per architecture). RET_SP is the difference between the
 * stack pointer at a function's entry and where its return probe sees it.
 */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	u64 orig_ax, ip, cs, flags, sp, ss;
};
#define REG_ARG1(c) ((c)->di)
#define REG_ARG2(c) ((c)->si)
#define REG_ARG3(c) ((c)->dx)
#define REG_ARG4(c) ((c)->cx)
#define REG_ARG5(c) ((c)->r8)
#define SYSCALL_ARG4(c) ((c)->r10)
#define SYSCALL_NR(c) ((c)->orig_ax)
/* Its result is not there yet: arch/x86/entry/entry_64.S puts -ENOSYS there. */
#define SYSCALL_RUNS(c) ((s64)(c)->ax == -38)
#define REG_RET(c) ((c)->ax)
#define REG_SP(c) ((c)->sp)
#define RET_SP 8
/* Go's register ABI; R14 holds the goroutine */
#define GO_ARG1(c) ((c)->ax)
#define GO_ARG2(c) ((c)->bx)
#define GO_ARG3(c) ((c)->cx)
#define GO_RET(c) ((c)->ax)
#define GO_SP(c) ((c)->sp)
#define GO_G(c) ((c)->r14)
#define GO_CLOSURE(c) ((c)->dx)
#define GO_FRAME(c) ((c)->bp)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
	/* The kernel's own, linux/arch/arm64/include/asm/ptrace.h. */
	u64 orig_x0;
	s32 syscallno;
};
#define REG_ARG1(c) ((c)->regs[0])
#define REG_ARG2(c) ((c)->regs[1])
#define REG_ARG3(c) ((c)->regs[2])
#define REG_ARG4(c) ((c)->regs[3])
#define REG_ARG5(c) ((c)->regs[4])
#define SYSCALL_ARG4(c) ((c)->regs[3])
#define SYSCALL_NR(c) ((c)->syscallno)
/* Its result is not there yet. */
#define SYSCALL_RUNS(c) ((c)->regs[0] == (c)->orig_x0)
#define REG_RET(c) ((c)->regs[0])
#define REG_SP(c) ((c)->sp)
#define RET_SP 0
#define GO_ARG1(c) ((c)->regs[0])
#define GO_ARG2(c) ((c)->regs[1])
#define GO_ARG3(c) ((c)->regs[2])
#define GO_RET(c) ((c)->regs[0])
#define GO_SP(c) ((c)->sp)
#define GO_G(c) ((c)->regs[28])
#define GO_CLOSURE(c) ((c)->regs[26])
#define GO_FRAME(c) ((c)->regs[29])
#else
#error "unknown target architecture"
#endif

#endif
