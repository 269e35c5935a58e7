// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "peer.h"

struct tls {
	gnutls_session_t session;
	int null; /* repeat a send without its buffer */
};

static gnutls_certificate_credentials_t credentials;

static void start_session(struct tls *t)
{
	gnutls_datum_t h2 = {(unsigned char *)"h2", 2};
	if (!credentials)
		gnutls_certificate_allocate_credentials(&credentials);
	gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_set_default_priority(t->session);
	gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_alpn_set_protocols(t->session, &h2, 1, 0);
}

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	start_session(t);
	return t;
}

void tls_connect(struct tls *t, int fd)
{
	int ret;
	gnutls_transport_set_int(t->session, fd);
	do
		ret = gnutls_handshake(t->session);
	while (ret < 0 && !gnutls_error_is_fatal(ret));
	if (ret < 0)
		die("gnutls_handshake: %s", gnutls_strerror(ret));
}

/* GnuTLS has no SSL_clear. */
void tls_reuse(struct tls *t)
{
	gnutls_deinit(t->session);
	start_session(t);
}

static long outcome(long ret)
{
	if (ret > 0)
		return ret;
	if (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED)
		return TLS_AGAIN;
	if (ret == 0)
		return TLS_EOF;
	die("GnuTLS: %s", gnutls_strerror(ret));
}

long tls_write(struct tls *t, const void *buf, size_t len)
{
	return outcome(gnutls_record_send(t->session, buf, len));
}

long tls_write_again(struct tls *t, const void *buf, size_t len)
{
	if (t->null)
		return outcome(gnutls_record_send(t->session, NULL, 0));
	return tls_write(t, buf, len);
}

long tls_read(struct tls *t, void *buf, size_t len)
{
	for (;;) {
		long n = outcome(gnutls_record_recv(t->session, buf, len));
		if (n != TLS_AGAIN) /* else a session ticket came */
			return n;
	}
}

int tls_mode(struct tls *t, const char *name)
{
	if (!strcmp(name, "plain"))
		return 1;
	if (!strcmp(name, "null"))
		return t->null = 1;
	return 0;
}

void tls_shutdown(struct tls *t)
{
	gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

void tls_free(struct tls *t)
{
	gnutls_deinit(t->session);
	free(t);
}
