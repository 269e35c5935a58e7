/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The shapes of probed functions: what their arguments and results mean. The
 * low octet of an attach cookie; Go's bpf.Op has the same numbers.
 */
#ifndef H2SNIFF_OP_H
#define H2SNIFF_OP_H

enum op {
	/* (handle, buf, len) -> int, > 0: octets */
	OP_WRITE = 1,
	/* (handle, buf, len, *octets) -> 1 on success */
	OP_WRITE_EX = 2,
	/* (handle, buf, len, flags, *octets) -> 1 on success */
	OP_WRITE_EX2 = 3,
	/* (handle, buf, len) -> ssize_t; (handle, NULL, 0) sends what an earlier
	 * call that met E_AGAIN had left */
	OP_GNUTLS_SEND = 4,
	OP_GNUTLS_SEND2 = 5,
	/* sends, from inside, octets that a corked gnutls_record_send took */
	OP_GNUTLS_UNCORK = 6,
	/* (handle, fd, offset, len, flags) -> ssize_t; the kernel reads the octets */
	OP_SENDFILE = 7,
	OP_FIRST_SEND = OP_WRITE,
	OP_LAST_SEND = OP_SENDFILE,

	OP_READ = 16,
	OP_READ_EX = 17, /* SSL_read_early_data too: SSL_READ_EARLY_DATA_SUCCESS is 1 */
	OP_GNUTLS_RECV = 18,
	/* (handle, *packet) -> ssize_t */
	OP_GNUTLS_RECV_PACKET = 19,
	OP_FIRST_RECV = OP_READ,
	OP_LAST_RECV = OP_GNUTLS_RECV_PACKET,

	/* Move no plaintext, but receive on the handle's socket. */
	OP_HANDSHAKE = 32,	  /* -> 1 when done */
	OP_CONNECT = 33,	  /* the same, and the role is known */
	OP_ACCEPT = 34,
	OP_ZERO_HANDSHAKE = 35, /* -> 0 when done */
	OP_OTHER = 36,

	OP_FREE = 48,
	OP_CLEAR = 49,
	/* The handle is made ready for a handshake, which other calls may run. */
	OP_CONNECT_NEXT = 50,
	OP_ACCEPT_NEXT = 51,

	/* NSPR, on any descriptor. The order is that of the direction. */
	OP_NSPR_WRITE = 56,  /* (fd, buf, len) -> s32 octets; PR_Send too */
	OP_NSPR_WRITEV = 57, /* (fd, vectors, count) -> s32 octets */
	OP_NSPR_READ = 58,   /* (fd, buf, len) -> s32 octets */
	OP_NSPR_RECV = 59,   /* (fd, buf, len, flags) -> s32 octets */
	OP_NSS_IMPORT = 60,  /* -> fd with NSS's layer on top */
	OP_NSS_RESET = 61,   /* (fd, server): a handshake is to begin */

	/* Methods of Go's *tls.Conn. */
	OP_GO_WRITE = 64,
	OP_GO_READ = 65,
	OP_GO_CONNECT = 66, /* clientHandshake */
	OP_GO_ACCEPT = 67,  /* serverHandshake */
	OP_GO_CLOSE = 68,
};

/* Bits of the cookie above the op: a number of the library, for h2sniff. */
#define COOKIE_LIBRARY 8
/* The arguments of the function lie in its caller's frame until it returns. */
#define COOKIE_HOMES (1ull << 63)
/* The probe is on what a Go function defers and runs as it returns. */
#define COOKIE_DEFERRED (1ull << 62)
/* Then, in words from the stack pointer of the function that defers: its first
 * result, and the closure. */
#define COOKIE_RESULT 40
#define COOKIE_CLOSURE 51
#define COOKIE_PLACE 0x7ff

#endif
