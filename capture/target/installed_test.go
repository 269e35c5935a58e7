// SPDX-License-Identifier: Apache-2.0

package target

import (
	"path/filepath"
	"testing"
)

func TestInstalled(t *testing.T) {
	want := make(map[string]Family)
	for name, family := range map[string]Family{"libssl.so.3": OpenSSL, "libgnutls.so.30": GnuTLS} {
		real, err := filepath.EvalSymlinks(systemLibrary(t, name))
		if err != nil {
			t.Fatal(err)
		}
		want[real] = family
	}
	seen := make(map[Key]string)
	for _, l := range Installed(Selection{}, testOptions) {
		if other, ok := seen[l.Key()]; ok {
			t.Errorf("%s and %s are one file", l.Path, other)
		}
		seen[l.Key()] = l.Path
		real, err := filepath.EvalSymlinks(l.Path)
		if err != nil {
			t.Fatal(err)
		}
		if family, ok := want[real]; ok && family == l.Family && len(l.Functions) > 0 {
			delete(want, real)
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	for _, l := range Installed(Selection{Families: []Family{OpenSSL}}, testOptions) {
		if l.Family == GnuTLS {
			t.Errorf("found %s without GnuTLS", l.Path)
		}
	}
}
