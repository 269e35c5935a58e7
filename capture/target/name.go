// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"strings"
)

// familyOf tells by its name which functions a library is expected to hold, 0
// for none.
//
// strict says that it is named like the library itself, so that missing
// functions are worth a word: libssl.so.3, libgnutls.so.30, and what Python
// wheels ship, libssl-81ffa89e.so.3. Others are only looked into: libssl3.so
// is a library of NSS, libgnutls-dane.so.0 and libgnutlsxx.so.30 accompany
// GnuTLS.
func familyOf(path []byte) (family Family, strict bool) {
	base := path[bytes.LastIndexByte(path, '/')+1:]
	var rest []byte
	switch {
	case bytes.HasPrefix(base, []byte("libssl")):
		family, rest = OpenSSL, base[len("libssl"):]
	case bytes.HasPrefix(base, []byte("libgnutls")):
		family, rest = GnuTLS, base[len("libgnutls"):]
	default:
		return 0, false
	}
	i := bytes.Index(rest, []byte(".so"))
	if i < 0 {
		return 0, false
	}
	tag, end := rest[:i], rest[i+len(".so"):]
	if len(end) > 0 && end[0] != '.' {
		return 0, false // libssl.something
	}
	strict = len(tag) == 0 ||
		tag[0] == '-' && len(tag) >= 9 && len(bytes.Trim(tag[1:], "0123456789abcdef")) == 0
	return family, strict
}

// core are the functions without which a file is not worth a probe: one of
// these must be there.
var core = map[Family][]string{
	OpenSSL: {"SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"},
	GnuTLS:  {"gnutls_record_recv", "gnutls_record_send"},
}

func coreNames(f Family) string { return strings.Join(core[f], ", ") }
