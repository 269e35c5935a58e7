// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "peer.h"

/* Ways to send and to receive, by the name of a mode. */
struct mode {
	const char *name;
	ssize_t (*send)(gnutls_session_t session, const void *buf, size_t len);
	ssize_t (*again)(gnutls_session_t session, const void *buf, size_t len);
	ssize_t (*recv)(gnutls_session_t session, void *buf, size_t len);
};

struct tls {
	gnutls_session_t session;
	const struct mode *mode;
};

static gnutls_certificate_credentials_t credentials;

static ssize_t send_null(gnutls_session_t session, const void *buf, size_t len)
{
	(void)buf;
	(void)len;
	return gnutls_record_send(session, NULL, 0);
}

static ssize_t send_padded(gnutls_session_t session, const void *buf, size_t len)
{
	/* GnuTLS 3.7 makes a record that is too long of octets that fill one. */
	return gnutls_record_send2(session, buf, len < 16000 ? len : 16000, 100, 0);
}

static ssize_t send_range(gnutls_session_t session, const void *buf, size_t len)
{
	gnutls_range_st range = {.low = len, .high = len + 1000};
	return gnutls_record_send_range(session, buf, len, &range);
}

static ssize_t uncork(gnutls_session_t session, const void *buf, size_t len)
{
	int ret = gnutls_record_uncork(session, 0);
	(void)buf;
	return ret < 0 ? ret : (ssize_t)len;
}

static ssize_t send_corked(gnutls_session_t session, const void *buf, size_t len)
{
	size_t half = len / 2;
	gnutls_record_cork(session);
	if (half && gnutls_record_send(session, buf, half) != (ssize_t)half)
		die("a corked call did not take its octets");
	if (gnutls_record_send(session, (const char *)buf + half, len - half) != (ssize_t)(len - half))
		die("a corked call did not take its octets");
	return uncork(session, buf, len);
}

static ssize_t recv_seq(gnutls_session_t session, void *buf, size_t len)
{
	unsigned char seq[8];
	return gnutls_record_recv_seq(session, buf, len, seq);
}

static ssize_t recv_packet(gnutls_session_t session, void *buf, size_t len)
{
	gnutls_packet_t packet = NULL;
	gnutls_datum_t data;
	ssize_t n = gnutls_record_recv_packet(session, &packet);
	if (n > 0) {
		gnutls_packet_get(packet, &data, NULL);
		if (data.size > len)
			die("a packet of %u octets is more than was asked for", data.size);
		memcpy(buf, data.data, data.size);
	}
	if (packet)
		gnutls_packet_deinit(packet);
	return n;
}

static const struct mode modes[] = {
	{"plain", gnutls_record_send, gnutls_record_send, gnutls_record_recv},
	{"null", gnutls_record_send, send_null, gnutls_record_recv},
	{"padding", send_padded, send_null, gnutls_record_recv},
	{"range", send_range, send_range, gnutls_record_recv},
	{"cork", send_corked, uncork, gnutls_record_recv},
	{"seq", gnutls_record_send, gnutls_record_send, recv_seq},
	{"packet", gnutls_record_send, gnutls_record_send, recv_packet},
};

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
	t->mode = modes;
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
	return outcome(t->mode->send(t->session, buf, len));
}

long tls_write_again(struct tls *t, const void *buf, size_t len)
{
	return outcome(t->mode->again(t->session, buf, len));
}

long tls_read(struct tls *t, void *buf, size_t len)
{
	for (;;) {
		long n = outcome(t->mode->recv(t->session, buf, len));
		if (n != TLS_AGAIN) /* else a session ticket came */
			return n;
	}
}

int tls_mode(struct tls *t, const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(name, modes[i].name)) {
			t->mode = modes + i;
			return 1;
		}
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
