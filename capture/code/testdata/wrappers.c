/* Wrappers of the shapes that Callee knows, and near misses. */
#include <stddef.h>
#include <stdint.h>

struct method {
	int (*write)(void *, const void *, size_t, size_t *);
};

__attribute__((noipa)) int inner4(void *s, const void *buf, size_t n, size_t *count)
{
	asm volatile("" ::"r"(s), "r"(buf), "r"(n), "r"(count) : "memory");
	return 1;
}

__attribute__((noipa)) int other4(void *s, const void *buf, size_t n, size_t *count)
{
	asm volatile("nop" ::"r"(s), "r"(buf), "r"(n), "r"(count) : "memory");
	return 1;
}

__attribute__((noipa)) int inner5(void *s, const void *buf, size_t n, uint64_t flags, size_t *count)
{
	asm volatile("" ::"r"(s), "r"(buf), "r"(n), "r"(flags), "r"(count) : "memory");
	return 1;
}

__attribute__((noipa)) void raise_error(int line, const char *file)
{
	asm volatile("" ::"r"(line), "r"(file) : "memory");
}

int plain(void *s, const void *buf, int n)
{
	size_t count;

	if (n < 0) {
		raise_error(__LINE__, __FILE__);
		return -1;
	}
	int ret = inner4(s, buf, n, &count);
	return ret > 0 ? (int)count : ret;
}

int ex(void *s, const void *buf, size_t n, size_t *count)
{
	int ret = inner4(s, buf, n, count);
	return ret < 0 ? 0 : ret;
}

/* OpenSSL 3.3 */
int plain_flags(void *s, const void *buf, int n)
{
	size_t count;

	if (n < 0) {
		raise_error(__LINE__, __FILE__);
		return -1;
	}
	int ret = inner5(s, buf, n, 0, &count);
	return ret > 0 ? (int)count : ret;
}

int ex2(void *s, const void *buf, size_t n, uint64_t flags, size_t *count)
{
	int ret = inner5(s, buf, n, flags, count);
	return ret < 0 ? 0 : ret;
}

int ex_of_ex2(void *s, const void *buf, size_t n, size_t *count) { return ex2(s, buf, n, 0, count); }

/* Near misses. */
int two_ways(void *s, const void *buf, size_t n, size_t *count)
{
	if (*(int *)s)
		return other4(s, buf, n, count) + 1;
	return inner4(s, buf, n, count) + 2;
}

int by_method(struct method **s, const void *buf, size_t n, size_t *count)
{
	if (n == 7)
		return (*s)->write(s, buf, n, count) + 1;
	return inner4(s, buf, n, count) + 2;
}

int half(void *s, const void *buf, size_t n, size_t *count) { return inner4(s, buf, n / 2, count) + 1; }

int other_buffer(void *s, const void *buf, size_t n, size_t *count)
{
	return inner4(s, (const char *)buf + 1, n, count) + 1;
}

int other_handle(void **s, const void *buf, size_t n, size_t *count) { return inner4(*s, buf, n, count) + 1; }

int constant_count(void *s, const void *buf, size_t n, size_t *count)
{
	static size_t kept;
	int ret = inner4(s, buf, n, &kept);
	*count = kept;
	return ret + 1;
}

int after_call(void *s, const void *buf, int n)
{
	size_t count;
	raise_error(n, buf);
	int ret = inner4(s, buf, n, &count);
	return ret > 0 ? (int)count : ret;
}

int main(void)
{
	return 0;
}
