// SPDX-License-Identifier: Apache-2.0
/* A "TLS library" that uses the socket as it is, with any system call. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "peer.h"

struct mode {
	const char *name;
	ssize_t (*send)(int fd, const void *buf, size_t len);
	ssize_t (*recv)(int fd, void *buf, size_t len);
};

struct tls {
	int fd;
	const struct mode *mode;
};

/* Cuts a buffer into vectors of 0, 1, 2, 3 ... octets. */
static int cut(struct iovec *v, int most, const void *buf, size_t len)
{
	int n = 0;
	for (size_t at = 0; n < most - 1 && at < len; n++) {
		size_t part = n < (int)(len - at) ? (size_t)n : len - at;
		v[n] = (struct iovec){(char *)buf + at, part};
		at += part;
		if (n == most - 2 && at < len)
			v[n].iov_len += len - at;
	}
	return n;
}

static ssize_t plain_send(int fd, const void *buf, size_t len) { return send(fd, buf, len, MSG_NOSIGNAL); }
static ssize_t plain_recv(int fd, void *buf, size_t len) { return recv(fd, buf, len, 0); }

static ssize_t send_vec(int fd, const void *buf, size_t len)
{
	struct iovec v[1024];
	return writev(fd, v, cut(v, 1024, buf, len));
}

static ssize_t recv_vec(int fd, void *buf, size_t len)
{
	struct iovec v[1024];
	return readv(fd, v, cut(v, 1024, buf, len));
}

static ssize_t send_vec2(int fd, const void *buf, size_t len)
{
	struct iovec v[16];
	return pwritev2(fd, v, cut(v, 16, buf, len), -1, 0);
}

static ssize_t recv_vec2(int fd, void *buf, size_t len)
{
	struct iovec v[16];
	return preadv2(fd, v, cut(v, 16, buf, len), -1, 0);
}

static ssize_t send_msg(int fd, const void *buf, size_t len)
{
	struct iovec v[64];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = cut(v, 64, buf, len)};
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static ssize_t recv_msg(int fd, void *buf, size_t len)
{
	struct iovec v[64];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = cut(v, 64, buf, len)};
	return recvmsg(fd, &m, 0);
}

enum { MESSAGES = 5 };

static ssize_t sum(const struct mmsghdr *m, int n)
{
	ssize_t all = 0;
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		all += m[i].msg_len;
	return all;
}

/* The last message takes what is left. */
static void messages(struct mmsghdr *m, struct iovec (*v)[16], const void *buf, size_t len)
{
	memset(m, 0, MESSAGES * sizeof(*m));
	for (int i = 0; i < MESSAGES; i++) {
		size_t at = len / MESSAGES * i, part = i == MESSAGES - 1 ? len - at : len / MESSAGES;
		m[i].msg_hdr.msg_iov = v[i];
		m[i].msg_hdr.msg_iovlen = cut(v[i], 16, (char *)buf + at, part);
	}
}

static ssize_t send_mmsg(int fd, const void *buf, size_t len)
{
	struct mmsghdr m[MESSAGES];
	struct iovec v[MESSAGES][16];
	messages(m, v, buf, len);
	return sum(m, sendmmsg(fd, m, MESSAGES, MSG_NOSIGNAL));
}

static ssize_t recv_mmsg(int fd, void *buf, size_t len)
{
	struct mmsghdr m[MESSAGES];
	struct iovec v[MESSAGES][16];
	messages(m, v, buf, len);
	return sum(m, recvmmsg(fd, m, MESSAGES, MSG_WAITFORONE, NULL));
}

/* A second vector that cannot be read or written to: a call moves a part of the
 * first, or fails. */
static ssize_t send_unmapped(int fd, const void *buf, size_t len)
{
	struct iovec v[3] = {{(void *)buf, len}, {(void *)4096, 100}, {NULL, 0}};
	ssize_t n = writev(fd, v, 3);
	if (n > (ssize_t)len)
		die("vectors that are not there were sent");
	return n < 0 && errno == EFAULT ? writev(fd, v, 1) : n;
}

static ssize_t recv_unmapped(int fd, void *buf, size_t len)
{
	struct iovec v[2] = {{buf, len}, {(void *)4096, 100}};
	return readv(fd, v, 2);
}

static ssize_t recv_peeked(int fd, void *buf, size_t len)
{
	char some[100];
	struct iovec v = {some, sizeof(some)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	if (recv(fd, some, sizeof(some), MSG_PEEK) <= 0 || recvmsg(fd, &m, MSG_PEEK) <= 0)
		return -1;
	if (recv(fd, some, sizeof(some), MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		return -1;
	return recv(fd, buf, len, 0);
}

static ssize_t recv_bytes(int fd, void *buf, size_t len) { return read(fd, buf, len ? 1 : 0); }
static ssize_t send_bytes(int fd, const void *buf, size_t len) { return write(fd, buf, len < 7 ? len : 7); }

/* What follows moves octets that no call shows. */

static ssize_t recv_dropped(int fd, void *buf, size_t len)
{
	(void)buf;
	return recv(fd, NULL, len, MSG_TRUNC);
}

static int file_of(const void *buf, size_t len)
{
	int fd = memfd_create("octets", 0);
	if (fd < 0 || write(fd, buf, len) != (ssize_t)len)
		die("memfd: %s", strerror(errno));
	return fd;
}

static ssize_t send_file(int fd, const void *buf, size_t len)
{
	off_t from = 0;
	int file = file_of(buf, len);
	ssize_t n = sendfile(fd, file, &from, len);
	close(file);
	return n;
}

static ssize_t send_spliced(int fd, const void *buf, size_t len)
{
	int ends[2];
	if (pipe(ends) || write(ends[1], buf, len) != (ssize_t)len)
		die("pipe: %s", strerror(errno));
	ssize_t n = splice(ends[0], NULL, fd, NULL, len, 0);
	close(ends[0]);
	close(ends[1]);
	return n;
}

static ssize_t recv_spliced(int fd, void *buf, size_t len)
{
	int ends[2];
	if (pipe(ends))
		die("pipe: %s", strerror(errno));
	ssize_t n = splice(fd, NULL, ends[1], NULL, len, 0);
	if (n > 0 && read(ends[0], buf, n) != n)
		die("pipe: %s", strerror(errno));
	close(ends[0]);
	close(ends[1]);
	return n;
}

/* One operation of io_uring. */
static ssize_t ring(int op, int fd, void *buf, size_t len)
{
	struct io_uring_params p = {0};
	int ring = syscall(SYS_io_uring_setup, 1, &p);
	if (ring < 0)
		die("io_uring_setup: %s", strerror(errno));
	size_t size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	*(uint32_t *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("io_uring_enter: %s", strerror(errno));
	ssize_t n = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
	close(ring);
	return n;
}

static ssize_t send_ring(int fd, const void *buf, size_t len) { return ring(IORING_OP_SEND, fd, (void *)buf, len); }
static ssize_t recv_ring(int fd, void *buf, size_t len) { return ring(IORING_OP_RECV, fd, buf, len); }

static const struct mode modes[] = {
	{"send", plain_send, plain_recv},
	{"write", write, read},
	{"vec", send_vec, recv_vec},
	{"vec2", send_vec2, recv_vec2},
	{"msg", send_msg, recv_msg},
	{"mmsg", send_mmsg, recv_mmsg},
	{"unmapped", send_unmapped, recv_unmapped},
	{"peek", plain_send, recv_peeked},
	{"bytes", send_bytes, recv_bytes},
	{"trunc", plain_send, recv_dropped},
	{"sendfile", send_file, plain_recv},
	{"splice", send_spliced, recv_spliced},
	{"ring", send_ring, recv_ring},
};

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	t->mode = modes;
	return t;
}

void tls_connect(struct tls *t, int fd) { t->fd = fd; }
void tls_reuse(struct tls *t) { (void)t; }
void tls_shutdown(struct tls *t) { (void)t; }
void tls_free(struct tls *t) { free(t); }

static long outcome(long ret)
{
	if (ret > 0)
		return ret;
	if (ret == 0)
		return TLS_EOF;
	if (errno == EAGAIN || errno == EINTR)
		return TLS_AGAIN;
	die("socket: %s", strerror(errno));
}

/* Whole calls, as the commands of peer.c want them of a blocking socket. */
long tls_write(struct tls *t, const void *buf, size_t len)
{
	size_t sent = 0;
	while (sent < len) {
		long n = outcome(t->mode->send(t->fd, (const char *)buf + sent, len - sent));
		if (n < 0)
			return sent ? (long)sent : n;
		sent += n;
	}
	return sent;
}

long tls_write_again(struct tls *t, const void *buf, size_t len) { return tls_write(t, buf, len); }
long tls_read(struct tls *t, void *buf, size_t len) { return outcome(t->mode->recv(t->fd, buf, len)); }

int tls_mode(struct tls *t, const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(name, modes[i].name)) {
			t->mode = modes + i;
			return 1;
		}
	return 0;
}
