// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "peer.h"

#ifdef OPENSSL_IS_BORINGSSL /* which has one way only */
#define SSL_write_ex(ssl, buf, len, n) ((void)(ssl), (void)(buf), (void)(len), (void)(n), 0)
#define SSL_read_ex(ssl, buf, len, n) ((void)(ssl), (void)(buf), (void)(len), (void)(n), 0)
#endif

struct tls {
	SSL *ssl;
	int ex; /* use SSL_write_ex and SSL_read_ex */
	int peek; /* look at octets before they are read */
};

static SSL_CTX *context(void)
{
	static SSL_CTX *ctx;
	if (!ctx) {
		ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
	}
	return ctx;
}

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	t->ssl = SSL_new(context());
	return t;
}

void tls_connect(struct tls *t, int fd)
{
	SSL_set_fd(t->ssl, fd);
	if (SSL_connect(t->ssl) != 1) {
		ERR_print_errors_fp(stderr);
		die("SSL_connect failed");
	}
}

void tls_reuse(struct tls *t)
{
	if (SSL_clear(t->ssl) != 1)
		die("SSL_clear failed");
}

static long failed(struct tls *t, int ret)
{
	int error = SSL_get_error(t->ssl, ret);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return TLS_AGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return TLS_EOF;
	ERR_print_errors_fp(stderr);
	die("SSL error %d", error);
}

long tls_write(struct tls *t, const void *buf, size_t len)
{
	size_t n = 0;
	int ret;
	if (t->ex) {
		ret = SSL_write_ex(t->ssl, buf, len, &n);
		return ret == 1 ? (long)n : failed(t, ret);
	}
	ret = SSL_write(t->ssl, buf, len);
	return ret > 0 ? ret : failed(t, ret);
}

long tls_write_again(struct tls *t, const void *buf, size_t len)
{
	return tls_write(t, buf, len);
}

long tls_read(struct tls *t, void *buf, size_t len)
{
	size_t n = 0;
	int ret;
	if (t->peek && SSL_peek(t->ssl, buf, len) <= 0)
		die("SSL_peek failed");
	if (t->ex) {
		ret = SSL_read_ex(t->ssl, buf, len, &n);
		return ret == 1 ? (long)n : failed(t, ret);
	}
	ret = SSL_read(t->ssl, buf, len);
	return ret > 0 ? ret : failed(t, ret);
}

int tls_mode(struct tls *t, const char *name)
{
	if (!strcmp(name, "plain"))
		return 1;
	if (!strcmp(name, "partial"))
		return !!SSL_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
#ifndef OPENSSL_IS_BORINGSSL
	if (!strcmp(name, "ex"))
		return t->ex = 1;
#endif
	if (!strcmp(name, "peek"))
		return t->peek = 1;
	return 0;
}

void tls_shutdown(struct tls *t)
{
	SSL_shutdown(t->ssl);
}

void tls_free(struct tls *t)
{
	SSL_free(t->ssl);
	free(t);
}
