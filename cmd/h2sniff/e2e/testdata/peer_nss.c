// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nspr.h>
#include <nss.h>
#include <private/pprio.h>
#include <ssl.h>

#include "peer.h"

/* Ways to send and to receive, by the name of a mode. */
struct mode {
	const char *name;
	PRInt32 (*send)(PRFileDesc *fd, const void *buf, PRInt32 len);
	PRInt32 (*recv)(PRFileDesc *fd, void *buf, PRInt32 len);
};

struct tls {
	PRFileDesc *fd;
	const struct mode *mode;
};

static PRInt32 pr_send(PRFileDesc *fd, const void *buf, PRInt32 len)
{
	return PR_Send(fd, buf, len, 0, PR_INTERVAL_NO_TIMEOUT);
}

static PRInt32 pr_recv(PRFileDesc *fd, void *buf, PRInt32 len)
{
	return PR_Recv(fd, buf, len, 0, PR_INTERVAL_NO_TIMEOUT);
}

static PRInt32 pr_writev(PRFileDesc *fd, const void *buf, PRInt32 len)
{
	PRIOVec v[4];
	memset(v, 0xff, sizeof(v)); /* the padding behind the lengths is not 0 */
	v[0].iov_base = (char *)buf;
	v[0].iov_len = len / 3;
	v[1].iov_base = NULL;
	v[1].iov_len = 0;
	v[2].iov_base = (char *)buf + len / 3;
	v[2].iov_len = len - len / 3;
	return PR_Writev(fd, v, 3, PR_INTERVAL_NO_TIMEOUT);
}

static PRInt32 pr_peeked(PRFileDesc *fd, void *buf, PRInt32 len)
{
	char some[10];
	if (PR_Recv(fd, some, sizeof(some), PR_MSG_PEEK, PR_INTERVAL_NO_TIMEOUT) <= 0)
		die("PR_MSG_PEEK: %d", PR_GetError());
	return pr_recv(fd, buf, len);
}

static const struct mode modes[] = {
	{"plain", PR_Write, PR_Read},
	{"flags", pr_send, pr_recv},
	{"vec", pr_writev, pr_peeked},
};

/* A layer that a program puts on top of NSS's, as browsers do: it calls NSPR for
 * what lies below. */
static PRInt32 top_write(PRFileDesc *fd, const void *buf, PRInt32 len) { return PR_Write(fd->lower, buf, len); }
static PRInt32 top_read(PRFileDesc *fd, void *buf, PRInt32 len) { return PR_Read(fd->lower, buf, len); }
static PRInt32 top_send(PRFileDesc *fd, const void *buf, PRInt32 len, PRIntn flags, PRIntervalTime timeout)
{
	return PR_Send(fd->lower, buf, len, flags, timeout);
}
static PRInt32 top_recv(PRFileDesc *fd, void *buf, PRInt32 len, PRIntn flags, PRIntervalTime timeout)
{
	return PR_Recv(fd->lower, buf, len, flags, timeout);
}

static int layered; /* put that layer on new connections */

static PRFileDesc *with_layer(PRFileDesc *fd)
{
	static PRIOMethods methods;
	static PRDescIdentity identity;
	if (!identity) {
		identity = PR_GetUniqueIdentity("top");
		methods = *PR_GetDefaultIOMethods();
		methods.write = top_write;
		methods.read = top_read;
		methods.send = top_send;
		methods.recv = top_recv;
	}
	if (PR_PushIOLayer(fd, PR_TOP_IO_LAYER, PR_CreateIOLayerStub(identity, &methods)) != PR_SUCCESS)
		die("PR_PushIOLayer: %d", PR_GetError());
	return fd;
}

static SECStatus trust(void *arg, PRFileDesc *fd, PRBool check, PRBool server)
{
	(void)arg, (void)fd, (void)check, (void)server;
	return SECSuccess;
}

struct tls *tls_new(void)
{
	struct tls *t = calloc(1, sizeof(*t));
	if (!NSS_IsInitialized() && NSS_NoDB_Init(NULL) != SECSuccess)
		die("NSS_NoDB_Init: %d", PR_GetError());
	t->mode = modes;
	return t;
}

void tls_connect(struct tls *t, int socket)
{
	static const unsigned char h2[] = "\x02h2";
	PRFileDesc *tcp = PR_ImportTCPSocket(dup(socket));
	PRSocketOptionData blocking = {.option = PR_SockOpt_Nonblocking, .value.non_blocking = PR_FALSE};
	PR_SetSocketOption(tcp, &blocking);
	t->fd = SSL_ImportFD(NULL, tcp);
	if (!t->fd)
		die("SSL_ImportFD: %d", PR_GetError());
	SSL_AuthCertificateHook(t->fd, trust, NULL);
	SSL_SetURL(t->fd, "localhost");
	SSL_OptionSet(t->fd, SSL_ENABLE_ALPN, PR_TRUE);
	SSL_SetNextProtoNego(t->fd, h2, 3);
	SSL_ResetHandshake(t->fd, PR_FALSE);
	if (layered)
		t->fd = with_layer(t->fd);
	if (SSL_ForceHandshake(t->fd) != SECSuccess)
		die("SSL_ForceHandshake: %d", PR_GetError());
}

void tls_reuse(struct tls *t) { t->fd = NULL; }

static long outcome(PRInt32 n)
{
	if (n > 0)
		return n;
	if (n == 0)
		return TLS_EOF;
	if (PR_GetError() == PR_WOULD_BLOCK_ERROR)
		return TLS_AGAIN;
	die("NSPR: %d", PR_GetError());
}

long tls_write(struct tls *t, const void *buf, size_t len)
{
	return outcome(t->mode->send(t->fd, buf, len));
}

long tls_write_again(struct tls *t, const void *buf, size_t len) { return tls_write(t, buf, len); }
long tls_read(struct tls *t, void *buf, size_t len) { return outcome(t->mode->recv(t->fd, buf, len)); }

int tls_mode(struct tls *t, const char *name)
{
	if (!strcmp(name, "layers")) /* before a connection is opened */
		return layered = 1;
	if (!strcmp(name, "nonblocking")) {
		PRSocketOptionData o = {.option = PR_SockOpt_Nonblocking, .value.non_blocking = PR_TRUE};
		return PR_SetSocketOption(t->fd, &o) == PR_SUCCESS;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(name, modes[i].name)) {
			t->mode = modes + i;
			return 1;
		}
	return 0;
}

void tls_shutdown(struct tls *t)
{
	PR_Shutdown(t->fd, PR_SHUTDOWN_SEND);
	PR_Close(t->fd);
}

void tls_free(struct tls *t) { free(t); }
