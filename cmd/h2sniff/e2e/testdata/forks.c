// SPDX-License-Identifier: Apache-2.0

// forks MB SECONDS: how long fork(2) takes in a small process, while another one
// with MB of memory in small pages forks every 50 ms (not with MB 0). See
// docs/performance.md.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) // µs
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double fork_takes(void)
{
	double start = now();
	pid_t child = fork();
	if (!child)
		_exit(0);
	if (child < 0) {
		perror("fork");
		exit(1);
	}
	double took = now() - start;
	waitpid(child, NULL, 0);
	return took;
}

static void large(size_t octets, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char *memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, octets, MADV_NOHUGEPAGE)) {
		perror("memory");
		exit(1);
	}
	for (size_t i = 0; i < octets; i += 4096)
		memory[i] = 1;
	if (write(ready, "", 1) != 1)
		exit(1);
	for (;;) {
		fork_takes();
		usleep(50000);
	}
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double took[1000000];
	int n = 0, ready[2];
	char octet;
	if (argc != 3) {
		fprintf(stderr, "usage: %s MB SECONDS\n", argv[0]);
		return 2;
	}
	size_t megabytes = strtoul(argv[1], NULL, 10);
	pid_t other = 0;
	if (megabytes) {
		if (pipe(ready) || (other = fork()) < 0) {
			perror("forks");
			return 1;
		}
		if (!other)
			large(megabytes << 20, ready[1]);
		close(ready[1]);
		if (read(ready[0], &octet, 1) != 1)
			return 1;
	}
	for (double end = now() + atoi(argv[2]) * 1e6; n < 1000000 && now() < end; usleep(2000))
		took[n++] = fork_takes();
	if (other)
		kill(other, SIGKILL);
	if (!n)
		return 1;
	qsort(took, n, sizeof(*took), ascending);
	printf("%d forks: p50 %.0f us, p99 %.0f us, max %.0f us\n", n, took[n / 2], took[n * 99L / 100], took[n - 1]);
	return 0;
}
