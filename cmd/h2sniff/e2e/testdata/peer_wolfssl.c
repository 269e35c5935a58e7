// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "peer.h"

/* Ways to send and to receive, by the name of a mode. */
struct mode {
	const char *name;
	int (*send)(WOLFSSL *ssl, const void *buf, int len);
	int (*recv)(WOLFSSL *ssl, void *buf, int len);
};

struct tls {
	WOLFSSL *ssl;
	const struct mode *mode;
};

static int send_flags(WOLFSSL *ssl, const void *buf, int len) { return wolfSSL_send(ssl, buf, len, 0); }
static int recv_flags(WOLFSSL *ssl, void *buf, int len) { return wolfSSL_recv(ssl, buf, len, 0); }

static int send_vec(WOLFSSL *ssl, const void *buf, int len)
{
	struct iovec v[2] = {{(void *)buf, len / 2}, {(char *)buf + len / 2, len - len / 2}};
	return wolfSSL_writev(ssl, v, 2);
}

static int recv_peeked(WOLFSSL *ssl, void *buf, int len)
{
	if (wolfSSL_peek(ssl, buf, len) <= 0)
		die("wolfSSL_peek failed");
	return wolfSSL_read(ssl, buf, len);
}

static const struct mode modes[] = {
	{"plain", wolfSSL_write, wolfSSL_read},
	{"flags", send_flags, recv_flags},
	{"vec", send_vec, recv_peeked},
};

static WOLFSSL_CTX *context(void)
{
	static WOLFSSL_CTX *ctx;
	if (!ctx) {
		wolfSSL_Init();
		ctx = wolfSSL_CTX_new(wolfTLS_client_method());
		wolfSSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	}
	return ctx;
}

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	t->mode = modes;
	t->ssl = wolfSSL_new(context());
	return t;
}

/* The handshake is run by wolfSSL_read. */
static void connect_by_reading(WOLFSSL *ssl, int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	char octet;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	wolfSSL_set_connect_state(ssl);
	for (;; poll(&p, 1, -1)) {
		int ret = wolfSSL_read(ssl, &octet, 1);
		if (ret >= 0 || wolfSSL_get_error(ssl, ret) != WOLFSSL_ERROR_WANT_READ)
			die("wolfSSL_read: %d", wolfSSL_get_error(ssl, ret));
		if (wolfSSL_is_init_finished(ssl))
			break;
	}
	fcntl(fd, F_SETFL, 0);
}

void tls_connect(struct tls *t, int fd)
{
	char h2[] = "h2";
	wolfSSL_UseALPN(t->ssl, h2, 2, WOLFSSL_ALPN_FAILED_ON_MISMATCH);
	wolfSSL_set_fd(t->ssl, fd);
	if (getenv("PEER_READS")) {
		connect_by_reading(t->ssl, fd);
		return;
	}
	if (wolfSSL_connect(t->ssl) != WOLFSSL_SUCCESS)
		die("wolfSSL_connect: %d", wolfSSL_get_error(t->ssl, 0));
}

void tls_reuse(struct tls *t)
{
	if (wolfSSL_clear(t->ssl) != WOLFSSL_SUCCESS)
		die("wolfSSL_clear failed");
}

static long outcome(struct tls *t, int ret)
{
	if (ret > 0)
		return ret;
	switch (wolfSSL_get_error(t->ssl, ret)) {
	case WOLFSSL_ERROR_WANT_READ:
	case WOLFSSL_ERROR_WANT_WRITE:
		return TLS_AGAIN;
	case WOLFSSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	}
	die("wolfSSL: %d", wolfSSL_get_error(t->ssl, ret));
}

long tls_write(struct tls *t, const void *buf, size_t len) { return outcome(t, t->mode->send(t->ssl, buf, len)); }
long tls_write_again(struct tls *t, const void *buf, size_t len) { return tls_write(t, buf, len); }
long tls_read(struct tls *t, void *buf, size_t len) { return outcome(t, t->mode->recv(t->ssl, buf, len)); }

int tls_mode(struct tls *t, const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(name, modes[i].name)) {
			t->mode = modes + i;
			return 1;
		}
	return 0;
}

void tls_shutdown(struct tls *t) { wolfSSL_shutdown(t->ssl); }

void tls_free(struct tls *t)
{
	wolfSSL_free(t->ssl);
	free(t);
}
