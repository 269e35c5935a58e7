/* SPDX-License-Identifier: Apache-2.0 */
/* What peer.c needs of a TLS library. Failures end the program. */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>

enum { TLS_AGAIN = -1, TLS_EOF = -2 };

struct tls;

struct tls *tls_new(void);
/* A client's handshake with ALPN h2. fd must be blocking. */
void tls_connect(struct tls *t, int fd);
/* Makes a handle that was connected ready for another connection. */
void tls_reuse(struct tls *t);
/* One call of the library: octets that it took or gave, TLS_AGAIN, TLS_EOF. */
long tls_write(struct tls *t, const void *buf, size_t len);
long tls_read(struct tls *t, void *buf, size_t len);
/* Repeats a tls_write that gave TLS_AGAIN, as the library's manual has it. */
long tls_write_again(struct tls *t, const void *buf, size_t len);
/* Library-specific behaviour; 0 where there is no mode of that name. */
int tls_mode(struct tls *t, const char *name);
void tls_shutdown(struct tls *t);
void tls_free(struct tls *t);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

#endif
