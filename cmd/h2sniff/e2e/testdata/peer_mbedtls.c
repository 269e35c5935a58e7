// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>

#include "peer.h"

struct tls {
	mbedtls_ssl_context ssl;
	int fd;
	int whole; /* repeat calls that took a part, until all is sent */
};

static mbedtls_ssl_config config;

static void configure(void)
{
	static const char *protocols[] = {"h2", NULL};
	static mbedtls_entropy_context entropy;
	static mbedtls_ctr_drbg_context random;
	static int done;
	if (done++)
		return;
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0))
		die("no random numbers");
	mbedtls_ssl_config_init(&config);
	mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
	mbedtls_ssl_conf_alpn_protocols(&config, protocols);
}

static int send_socket(void *t, const unsigned char *buf, size_t len)
{
	int n = send(((struct tls *)t)->fd, buf, len, MSG_NOSIGNAL);
	return n < 0 && errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : n;
}

static int recv_socket(void *t, unsigned char *buf, size_t len)
{
	int n = recv(((struct tls *)t)->fd, buf, len, 0);
	return n < 0 && errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : n;
}

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	configure();
	mbedtls_ssl_init(&t->ssl);
	if (mbedtls_ssl_setup(&t->ssl, &config))
		die("mbedtls_ssl_setup failed");
	return t;
}

void tls_connect(struct tls *t, int fd)
{
	int ret;
	t->fd = fd;
	mbedtls_ssl_set_bio(&t->ssl, t, send_socket, recv_socket, NULL);
	while ((ret = mbedtls_ssl_handshake(&t->ssl)))
		if (ret != MBEDTLS_ERR_SSL_WANT_READ && ret != MBEDTLS_ERR_SSL_WANT_WRITE)
			die("mbedtls_ssl_handshake: -%#x", -ret);
}

void tls_reuse(struct tls *t)
{
	if (mbedtls_ssl_session_reset(&t->ssl))
		die("mbedtls_ssl_session_reset failed");
}

static long outcome(int ret)
{
	if (ret > 0)
		return ret;
	if (ret == 0 || ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return TLS_EOF;
	if (ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE)
		return TLS_AGAIN;
	die("mbedTLS: -%#x", -ret);
}

long tls_write(struct tls *t, const void *buf, size_t len)
{
	size_t sent = 0;
	long n;
	do {
		n = outcome(mbedtls_ssl_write(&t->ssl, (const unsigned char *)buf + sent, len - sent));
		if (n > 0)
			sent += n;
	} while (t->whole && n > 0 && sent < len);
	return sent ? (long)sent : n;
}

long tls_write_again(struct tls *t, const void *buf, size_t len) { return tls_write(t, buf, len); }
long tls_read(struct tls *t, void *buf, size_t len) { return outcome(mbedtls_ssl_read(&t->ssl, buf, len)); }

int tls_mode(struct tls *t, const char *name)
{
	t->whole = !strcmp(name, "whole");
	return t->whole || !strcmp(name, "plain");
}

void tls_shutdown(struct tls *t) { mbedtls_ssl_close_notify(&t->ssl); }

void tls_free(struct tls *t)
{
	mbedtls_ssl_free(&t->ssl);
	free(t);
}
