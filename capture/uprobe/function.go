// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"h2sniff/bpf"
	"h2sniff/capture/target"
)

// function is a probed function of a TLS library and its shape.
type function struct {
	name string
	op   bpf.Op
}

// functions lists what is probed by family. Functions that a version of the
// library does not have are left out when it is attached to.
//
// OpenSSL: libssl 1.1.0 to 3.x; the _ex functions came with 1.1.1,
// SSL_write_ex2 with 3.3, SSL_sendfile (kernel TLS) with 3.0. SSL_peek and SSL_shutdown move no plaintext but
// receive from the socket, which address evidence must know of. SSL_set_accept_state
// and its sibling begin a connection whose handshake SSL_read or SSL_write runs.
//
// GnuTLS: libgnutls.so.30 (3.4 to 3.8). gnutls_record_send jumps to
// gnutls_record_send2, and gnutls_record_uncork calls gnutls_record_send with
// octets that were counted when they were corked: the outermost call counts.
// gnutls_record_send_early_data only keeps octets, which the handshake sends
// with gnutls_record_send if the session can have early data.
//
// wolfSSL: libwolfssl 3 to 5; its names of OpenSSL's functions are macros.
// wolfSSL_send calls wolfSSL_write, and wolfSSL_writev does. Functions with
// early data and _ex are in few builds. A handshake that wolfSSL_read or
// wolfSSL_write runs, with no call before that says so, begins inside it, and so
// does one of Mbed TLS: such connections look like open ones.
//
// NSS: libssl3.so and NSPR's libnspr4.so, whose interface has not changed since
// NSS 3.2. Programs read and write with NSPR's functions.
//
// Mbed TLS: libmbedtls 2 and 3. A context is the program's own memory, used
// again after mbedtls_ssl_free, mbedtls_ssl_setup or mbedtls_ssl_session_reset.
//
// Go: the methods of crypto/tls from Go 1.17 (on arm64 1.18) on. The handshake
// functions are called through a pointer, so that they are never inlined, and
// tell the role.
var functions = map[target.Family][]function{
	target.OpenSSL: {
		{"SSL_write", bpf.OpWrite},
		{"SSL_write_ex", bpf.OpWriteEx},
		{"SSL_write_ex2", bpf.OpWriteEx2},
		{"SSL_write_early_data", bpf.OpWriteEx},
		{"SSL_sendfile", bpf.OpSendfile},
		{"SSL_read", bpf.OpRead},
		{"SSL_read_ex", bpf.OpReadEx},
		{"SSL_read_early_data", bpf.OpReadEx},
		{"SSL_do_handshake", bpf.OpHandshake},
		{"SSL_connect", bpf.OpConnect},
		{"SSL_accept", bpf.OpAccept},
		{"SSL_peek", bpf.OpOther},
		{"SSL_peek_ex", bpf.OpOther},
		{"SSL_shutdown", bpf.OpOther},
		{"SSL_set_connect_state", bpf.OpConnectNext},
		{"SSL_set_accept_state", bpf.OpAcceptNext},
		{"SSL_clear", bpf.OpClear},
		{"SSL_free", bpf.OpFree},
	},
	target.GnuTLS: {
		{"gnutls_record_send", bpf.OpGnuTLSSend},
		{"gnutls_record_send2", bpf.OpGnuTLSSend2},
		{"gnutls_record_send_range", bpf.OpGnuTLSSend},
		{"gnutls_record_uncork", bpf.OpGnuTLSUncork},
		{"gnutls_record_recv", bpf.OpGnuTLSRecv},
		{"gnutls_record_recv_seq", bpf.OpGnuTLSRecv},
		{"gnutls_record_recv_early_data", bpf.OpGnuTLSRecv},
		{"gnutls_record_recv_packet", bpf.OpGnuTLSRecvPacket},
		{"gnutls_handshake", bpf.OpZeroHandshake},
		{"gnutls_bye", bpf.OpOther},
		{"gnutls_deinit", bpf.OpFree},
	},
	target.WolfSSL: {
		{"wolfSSL_write", bpf.OpWrite},
		{"wolfSSL_write_ex", bpf.OpWriteEx},
		{"wolfSSL_send", bpf.OpWrite},
		{"wolfSSL_write_early_data", bpf.OpWrite},
		{"wolfSSL_read", bpf.OpRead},
		{"wolfSSL_read_ex", bpf.OpReadEx},
		{"wolfSSL_recv", bpf.OpRead},
		{"wolfSSL_read_early_data", bpf.OpRead},
		{"wolfSSL_connect", bpf.OpConnect},
		{"wolfSSL_connect_TLSv13", bpf.OpConnect},
		{"wolfSSL_accept", bpf.OpAccept},
		{"wolfSSL_accept_TLSv13", bpf.OpAccept},
		{"wolfSSL_peek", bpf.OpOther},
		{"wolfSSL_shutdown", bpf.OpOther},
		{"wolfSSL_set_connect_state", bpf.OpConnectNext},
		{"wolfSSL_set_accept_state", bpf.OpAcceptNext},
		{"wolfSSL_clear", bpf.OpClear},
		{"wolfSSL_free", bpf.OpFree},
	},
	target.MbedTLS: {
		{"mbedtls_ssl_write", bpf.OpWrite},
		{"mbedtls_ssl_read", bpf.OpRead},
		{"mbedtls_ssl_handshake", bpf.OpZeroHandshake},
		{"mbedtls_ssl_close_notify", bpf.OpOther},
		{"mbedtls_ssl_setup", bpf.OpClear},
		{"mbedtls_ssl_session_reset", bpf.OpClear},
		{"mbedtls_ssl_free", bpf.OpFree},
	},
	target.Go: {
		{"crypto/tls.(*Conn).Write", bpf.OpGoWrite},
		{"crypto/tls.(*Conn).Read", bpf.OpGoRead},
		{"crypto/tls.(*Conn).clientHandshake", bpf.OpGoConnect},
		{"crypto/tls.(*Conn).serverHandshake", bpf.OpGoAccept},
		{"crypto/tls.(*Conn).Close", bpf.OpGoClose},
	},
	target.NSS: {
		{"PR_Write", bpf.OpNSPRWrite},
		{"PR_Writev", bpf.OpNSPRWritev},
		{"PR_Send", bpf.OpNSPRWrite},
		{"PR_Read", bpf.OpNSPRRead},
		{"PR_Recv", bpf.OpNSPRRecv},
		{"PR_Close", bpf.OpFree},
		{"SSL_ImportFD", bpf.OpNSSImport},
		{"SSL_ResetHandshake", bpf.OpNSSReset},
		{"SSL_ForceHandshake", bpf.OpZeroHandshake},
	},
}

// innerOp is the shape of the function that those of shape op wrap: libssl's
// ssl_write_internal(s, buf, num, [flags,] *written) and ssl_read_internal(s,
// buf, num, *readbytes).
func innerOp(op bpf.Op, count int) bpf.Op {
	switch {
	case op >= bpf.OpRead:
		return bpf.OpReadEx
	case count == 5:
		return bpf.OpWriteEx2
	}
	return bpf.OpWriteEx
}

// Wanted names the functions that are probed where a library has them.
func Wanted() map[target.Family][]string {
	wanted := make(map[target.Family][]string)
	for family, list := range functions {
		for _, f := range list {
			wanted[family] = append(wanted[family], f.name)
		}
	}
	return wanted
}

func opOf(family target.Family, name string) (bpf.Op, bool) {
	for _, f := range functions[family] {
		if f.name == name {
			return f.op, true
		}
	}
	return 0, false
}
