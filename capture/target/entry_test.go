// SPDX-License-Identifier: Apache-2.0

package target

import (
	"runtime"
	"testing"
)

// TestEntriesOfLibgnutls: gnutls_record_send begins with setting arguments that
// it does not have and goes on with a jump.
func TestEntriesOfLibgnutls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: an x86-64 processor")
	}
	found, err := Inspect(systemLibrary(t, "libgnutls.so.30"), testOptions)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	seen := false
	for _, f := range found[0].Functions {
		seen = seen || f.Name == "gnutls_record_send"
		moved := f.Name == "gnutls_record_send"
		if (f.Entry != 0) != moved || moved && (f.Entry <= f.Offset || f.Entry > f.Offset+16) {
			t.Errorf("%s at %#x is probed at %#x", f.Name, f.Offset, f.Entry)
		}
	}
	if !seen {
		t.Error("gnutls_record_send is not among its functions")
	}
}
