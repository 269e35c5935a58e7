// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"h2sniff/capture/target"
)

func TestTellOthers(t *testing.T) {
	libssl := target.Library{Family: target.OpenSSL, Path: "/usr/lib/libssl.so.3"}
	caddy := target.Library{Family: target.Go, Path: "/usr/bin/caddy"}
	got := tellOthers([]target.Family{target.GnuTLS, target.NSS},
		map[int]string{7: "nginx", 8: "nginx", 9: "caddy", 10: "sh"},
		map[int][]target.Library{8: {libssl}, 7: {libssl}, 9: {caddy, libssl}})
	want := []string{
		"caddy 9: without GnuTLS or NSS; it has Go (caddy), OpenSSL (libssl.so.3)",
		"nginx 7 and 1 more: without GnuTLS or NSS; it has OpenSSL (libssl.so.3)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	got = tellOthers(slices.DeleteFunc(target.Families(), func(f target.Family) bool { return f == target.OpenSSL }),
		map[int]string{7: "nginx"}, map[int][]target.Library{7: {libssl}})
	if want := "nginx 7: without a chosen family; it has OpenSSL (libssl.so.3)"; len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
}
