// SPDX-License-Identifier: Apache-2.0
/*
 * A TLS client that does what it is told on standard input, a command a line,
 * and answers each with a line that begins with "ok". Its first line tells its
 * pid.
 *
 *   open PORT           connects to 127.0.0.1 with a new handle
 *   reuse PORT          ends the connection and makes a new one with the same handle
 *   mode NAME           see tls_mode
 *   calls FILE LEN...   sends FILE in calls of those lengths, the last one again
 *                       and again; without a length in one call
 *   retry FILE          sends FILE with one call on a socket that does not block,
 *                       repeated until all is sent; answers how often it had to wait
 *   read N              receives until N octets have come since the last read
 *   echo N              one thread sends N empty DATA frames, each when another
 *                       thread has received the answer to the one before
 *   close               ends the connection and frees the handle
 *   seccomp             allows itself every system call but those that probes
 *                       make it do
 *   fork                a child obeys from now on; this process waits for it
 *   herd N              N children receive what comes, each answering with its pid
 *                       and the octets of a call, until the other end is done
 *   gather              waits for their end
 *   exec                begins anew, as a program executed by this process
 *   exit CODE           ends without a word to the TLS library
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

static struct tls *tls;
static int sock = -1;
static sem_t answered;

void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void dial(const char *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		die("connecting to port %s: %s", port, strerror(errno));
	int yes = 1; /* the test waits for each answer: nothing is to be collected */
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	tls_connect(tls, sock);
}

static void hang_up(void)
{
	tls_shutdown(tls);
	close(sock);
	sock = -1;
}

/* The content of a file; the caller frees it. */
static char *content(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	char *buf = malloc(st.st_size);
	*len = 0;
	while (*len < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + *len, st.st_size - *len);
		if (n <= 0)
			die("reading %s: %s", path, strerror(errno));
		*len += n;
	}
	close(fd);
	return buf;
}

static void send_calls(char *args)
{
	size_t len, next = 0;
	char *buf = content(strsep(&args, " "), &len);
	for (size_t sent = 0; sent < len;) {
		char *word = strsep(&args, " ");
		if (word)
			next = atol(word);
		size_t n = next && next < len - sent ? next : len - sent;
		if (tls_write(tls, buf + sent, n) != (long)n)
			die("a call did not send its %zu octets", n);
		sent += n;
	}
	free(buf);
}

static void set_blocking(int yes)
{
	int flags = fcntl(sock, F_GETFL);
	fcntl(sock, F_SETFL, yes ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static long send_retrying(const char *path)
{
	size_t len;
	long again = 0;
	int room = 65536; /* or all of FILE would fit into the socket's buffer */
	char *buf = content(path, &len);
	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	set_blocking(0);
	for (size_t sent = 0; sent < len;) {
		long n = tls_write(tls, buf + sent, len - sent);
		while (n == TLS_AGAIN) {
			if (!again++) {
				puts("blocked"); /* the other end may begin to read */
				fflush(stdout);
			}
			struct pollfd p = {.fd = sock, .events = POLLOUT};
			poll(&p, 1, -1);
			n = tls_write_again(tls, buf + sent, len - sent);
		}
		if (n <= 0)
			die("sending: %ld", n);
		sent += n;
	}
	set_blocking(1);
	free(buf);
	return again;
}

static void receive(long want)
{
	static char buf[65536];
	while (want > 0) {
		long n = tls_read(tls, buf, want < (long)sizeof(buf) ? (size_t)want : sizeof(buf));
		if (n <= 0)
			die("%ld octets are missing: %ld", want, n);
		want -= n;
	}
}

enum { FRAME = 9 };

static void *receive_answers(void *frames)
{
	prctl(PR_SET_NAME, "receiver");
	for (long left = (long)(intptr_t)frames; left > 0; left--) {
		receive(FRAME);
		sem_post(&answered);
	}
	return NULL;
}

static void echo(long frames)
{
	pthread_t receiver;
	sem_init(&answered, 0, 0);
	if (pthread_create(&receiver, NULL, receive_answers, (void *)(intptr_t)frames))
		die("no thread");
	for (uint32_t i = 1; i <= frames; i++) {
		uint32_t stream = htonl(2 * i - 1);
		char frame[FRAME] = {0};
		memcpy(frame + 5, &stream, 4);
		if (tls_write(tls, frame, FRAME) != FRAME)
			die("a frame was not sent");
		sem_wait(&answered);
	}
	pthread_join(receiver, NULL);
}

/* Kernels make a traced process enter them by these system calls of the x86,
 * which no program knows of, and no filter written before them. */
static void filter_system_calls(void)
{
	enum { NR_URETPROBE = 335, NR_UPROBE = 336 };
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_URETPROBE, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_UPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("seccomp: %s", strerror(errno));
}

static void become_child(void)
{
	pid_t child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0)
		return;
	int status;
	waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void obey(char *line, char **argv);

/* Has a child obey one command, which answers. */
static void lend(char *line, char **argv)
{
	pid_t child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		obey(line, argv);
		fflush(stdout);
		_exit(0);
	}
	int status;
	if (waitpid(child, &status, 0) != child || status)
		die("the child failed");
}

static void herd(long n)
{
	static char buf[65536];
	fflush(stdout);
	while (n-- > 0) {
		pid_t child = fork();
		if (child < 0)
			die("fork: %s", strerror(errno));
		if (child)
			continue;
		for (long got; (got = tls_read(tls, buf, sizeof(buf))) > 0;) {
			printf("ok %d %ld\n", getpid(), got);
			fflush(stdout);
		}
		_exit(0);
	}
}

static void gather(void)
{
	int status;
	while (wait(&status) > 0)
		if (status)
			die("a child failed");
}

static void obey(char *line, char **argv)
{
	char *command = strsep(&line, " ");
	if (!strcmp(command, "open")) {
		tls = tls_new();
		dial(line);
	} else if (!strcmp(command, "reuse")) {
		hang_up();
		tls_reuse(tls);
		dial(line);
	} else if (!strcmp(command, "mode")) {
		if (!tls_mode(tls, line))
			die("no mode %s", line);
	} else if (!strcmp(command, "calls")) {
		send_calls(line);
	} else if (!strcmp(command, "retry")) {
		printf("ok %ld\n", send_retrying(line));
		return;
	} else if (!strcmp(command, "read")) {
		receive(atol(line));
	} else if (!strcmp(command, "echo")) {
		echo(atol(line));
	} else if (!strcmp(command, "close")) {
		hang_up();
		tls_free(tls);
	} else if (!strcmp(command, "seccomp")) {
		filter_system_calls();
	} else if (!strcmp(command, "fork")) {
		become_child();
		printf("ok %d\n", getpid());
		return;
	} else if (!strcmp(command, "lend")) {
		lend(line, argv);
		return;
	} else if (!strcmp(command, "herd")) {
		herd(atol(line));
	} else if (!strcmp(command, "gather")) {
		gather();
	} else if (!strcmp(command, "exec")) {
		execv("/proc/self/exe", argv);
		die("exec: %s", strerror(errno));
	} else if (!strcmp(command, "exit")) {
		_exit(atoi(line));
	} else {
		die("unknown command %s", command);
	}
	puts("ok");
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	(void)argc;
	printf("ok %d\n", getpid());
	fflush(stdout);
	while ((n = getline(&line, &room, stdin)) > 0) {
		line[n - 1] = 0;
		obey(line, argv);
		fflush(stdout);
	}
	return 0;
}
