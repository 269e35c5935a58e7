// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"strings"
)

// rule says in which files the functions of a family are, and how to find them
// there. A family needs nothing else in this package.
type rule struct {
	family Family
	name   string // for people; in lower case for the command line
	// libraries are what files are called that hold the functions: "libssl"
	// stands for libssl.so.3 and its like, see [rule.names].
	libraries []string
	// hints are parts of the names of libraries that are looked into too. Those
	// of libgnutls-openssl only wrap GnuTLS.
	hints []string
	// executable says that a program's own file can hold them too.
	executable bool
	// core are the functions without which a file is not worth a probe: one
	// of these must be there.
	core []string
	// find is for functions that stand in no ELF symbol table. It gets the
	// wanted names, and returns those present in any order; the error may wrap
	// ErrMalformed. nil: the symbol tables are read.
	find func(o *object, wanted []string) ([]Function, error)
	// marks are texts by which an executable that holds the library without
	// its symbols can be told.
	marks []mark
}

// rules has one entry for each family.
var rules = []rule{
	{
		family: OpenSSL, name: "OpenSSL", executable: true,
		libraries: []string{"libssl"},
		// Libraries that hold BoringSSL are called like this: libboringssl.so,
		// libconscrypt_jni.so, libnetty_tcnative_linux_x86_64.so.
		hints: []string{"ssl", "conscrypt", "tcnative", "cronet"},
		core:  []string{"SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"},
		marks: []mark{{"BoringSSL", "ssl/ssl_lib.cc\x00"}, {"OpenSSL", "ssl/ssl_lib.c\x00"}},
	},
	{
		family: GnuTLS, name: "GnuTLS", libraries: []string{"libgnutls"}, executable: true,
		core: []string{"gnutls_record_recv", "gnutls_record_send"},
	},
	{
		family: WolfSSL, name: "wolfSSL", libraries: []string{"libwolfssl"}, executable: true,
		core: []string{"wolfSSL_read", "wolfSSL_write"},
	},
	{
		family: MbedTLS, name: "mbedTLS", libraries: []string{"libmbedtls"}, executable: true,
		core: []string{"mbedtls_ssl_read", "mbedtls_ssl_write"},
	},
	{
		family: Go, name: "Go", executable: true,
		core: []string{goConn + "Read", goConn + "Write"},
		find: findGo,
	},
	{
		// NSPR reads and writes, NSS says which descriptors are TLS. Mozilla can
		// make one library of both, libnss3.so.
		family: NSS, name: "NSS", libraries: []string{"libnspr4", "libssl3"}, hints: []string{"libnss3"},
		core: []string{"PR_Read", "PR_Write", "SSL_ImportFD"},
	},
}

// names reports whether a file of that name, without folders, can be one of the
// family's libraries.
//
// strict says that it is named like the library itself, so that missing
// functions are worth a word: libssl.so.3, libgnutls.so.30, and what Python
// wheels ship, libssl-81ffa89e.so.3. Others are only looked into: libssl3.so
// is a library of NSS, libgnutls-dane.so.0 and libgnutlsxx.so.30 accompany
// GnuTLS.
func (r *rule) names(base []byte) (ok, strict bool) {
	for _, hint := range r.hints {
		ok = ok || isLibrary(base) && bytes.Contains(base, []byte(hint)) && !bytes.HasPrefix(base, []byte("libgnutls"))
	}
	for _, name := range r.libraries {
		if len(base) < len(name) || string(base[:len(name)]) != name {
			continue
		}
		tag, end, found := bytes.Cut(base[len(name):], []byte(".so"))
		if !found || len(end) > 0 && end[0] != '.' { // libssl.something
			continue
		}
		ok = true
		strict = strict || len(tag) == 0 ||
			tag[0] == '-' && len(tag) >= 9 && len(bytes.Trim(tag[1:], "0123456789abcdef")) == 0
	}
	return ok, strict
}

func baseName(path []byte) []byte { return path[bytes.LastIndexByte(path, '/')+1:] }

// familyOf tells by its name which functions a library is expected to hold, 0
// for none. Where several families could be meant, a strict one is.
func familyOf(path []byte) (family Family, strict bool) {
	base := baseName(path)
	for i := range rules {
		if ok, exact := rules[i].names(base); ok && (family == 0 || exact && !strict) {
			family, strict = rules[i].family, exact
		}
	}
	return family, strict
}

// mayBeProgram reports whether a file of that name can be the executable of a
// process: most of what processes map cannot.
func mayBeProgram(path []byte) bool {
	base := baseName(path)
	return len(base) > 0 && path[0] == '/' && !bytes.HasPrefix(path, []byte("//")) &&
		!isLibrary(base)
}

func isLibrary(base []byte) bool {
	return bytes.HasSuffix(base, []byte(".so")) || bytes.Contains(base, []byte(".so."))
}

func (r *rule) coreNames() string { return strings.Join(r.core, ", ") }
