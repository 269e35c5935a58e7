// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("missing: root")
	}
	t.Skip("missing: root")
}

// TestEveryModeLoads: the plain form must go on loading where the machine that
// runs the tests has the newer features.
func TestEveryModeLoads(t *testing.T) {
	needRoot(t)
	for _, mode := range []Mode{{true, true, true}, {true, true, false}, {true, false, false}, {false, true, false}, {false, false, false}} {
		everyMode(t, Options{RingBytes: 1 << 20, LogVerifier: true}, mode)
		everyMode(t, Options{RingBytes: 1 << 20, LogVerifier: true, HeadersOnly: true}, mode)
	}
}

func everyMode(t *testing.T, o Options, mode Mode) {
	t.Run(fmt.Sprintf("%+v headers only %v", mode, o.HeadersOnly), func(t *testing.T) {
		objs, err := LoadMode(o, mode)
		if err != nil {
			t.Fatalf("%+v", err)
		}
		defer objs.Close()
		if err := objs.LoadSyscalls(Followed{}, func() uint32 { return 0 }); err != nil {
			t.Fatalf("%+v", err)
		}
		if err := objs.LoadGo(); err != nil {
			t.Fatalf("%+v", err)
		}
		if err := objs.LoadNSS(); err != nil {
			t.Fatalf("%+v", err)
		}
		if !strings.Contains(objs.VerifierLog, "processed") {
			t.Errorf("no verifier statistics: %q", objs.VerifierLog)
		}
		t.Log(objs.VerifierLog)
		if n, err := objs.Queue().Count(Dropped); n != 0 || err != nil {
			t.Errorf("a fresh counter is %d, %v", n, err)
		}
	})
}

// TestMapLayouts compares the structs that Go reads from maps with the BTF of
// the objects.
func TestMapLayouts(t *testing.T) {
	spec, err := loadTls()
	if err != nil {
		t.Fatal(err)
	}
	conns := spec.Maps["conns"]
	if got, want := int(conns.KeySize), binary.Size(ConnKey{}); got != want {
		t.Errorf("struct conn_key has %d bytes, ConnKey %d", got, want)
	}
	if got, want := int(conns.ValueSize), binary.Size(ConnState{}); got != want {
		t.Errorf("struct conn has %d bytes, ConnState %d", got, want)
	}
	if got := spec.Maps["counters"].MaxEntries; got != uint32(numCounters) {
		t.Errorf("%d counters in C, %d in Go", got, numCounters)
	}
	if spec, err = loadNss(); err != nil {
		t.Fatal(err)
	}
	if got, want := int(spec.Maps["lost_closes"].KeySize), binary.Size(LostKey{}); got != want {
		t.Errorf("struct lost_key has %d bytes, LostKey %d", got, want)
	}
	if got, want := int(spec.Maps["lost_closes"].ValueSize), binary.Size(LostClose{}); got != want {
		t.Errorf("struct lost_close has %d bytes, LostClose %d", got, want)
	}
	if got, want := int(spec.Maps["nss_processes"].ValueSize), binary.Size(NSSData{}); got != want {
		t.Errorf("struct nss_data has %d bytes, NSSData %d", got, want)
	}
	ops := make(map[string]uint64)
	for typ := range spec.Types.All() {
		if enum, ok := typ.(*btf.Enum); ok && enum.Name == "op" {
			for _, v := range enum.Values {
				ops[v.Name] = v.Value
			}
		}
	}
	for name, op := range map[string]Op{
		"OP_WRITE": OpWrite, "OP_WRITE_EX": OpWriteEx, "OP_WRITE_EX2": OpWriteEx2,
		"OP_READ": OpRead, "OP_READ_EX": OpReadEx, "OP_FREE": OpFree, "OP_CLEAR": OpClear,
		"OP_CONNECT_NEXT": OpConnectNext, "OP_ACCEPT_NEXT": OpAcceptNext,
		"OP_GO_WRITE": OpGoWrite, "OP_GO_READ": OpGoRead, "OP_GO_CONNECT": OpGoConnect,
		"OP_GO_ACCEPT": OpGoAccept, "OP_GO_CLOSE": OpGoClose,
	} {
		if got, ok := ops[name]; len(ops) > 0 && (!ok || got != uint64(op)) {
			t.Errorf("%s is %d in C, %d in Go", name, got, op)
		}
	}
}

func TestLoadWithoutPrivileges(t *testing.T) {
	needRoot(t)
	// The library remembers what the kernel has: without privileges it would take
	// BTF for missing, and all that comes after would load in other ways.
	objs, err := Load(Options{RingBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	objs.Close()
	// The capability is dropped for this thread alone, which then ends with
	// the goroutine that stays locked to it.
	done := make(chan error)
	go func() {
		done <- withoutCapabilities(func() error {
			_, err := Load(Options{RingBytes: 1 << 20})
			return err
		})
	}()
	err = <-done
	if !errors.Is(err, ErrPermission) {
		t.Errorf("got %v, want ErrPermission", err)
	}
	if errors.Is(err, syscall.ENOSYS) {
		t.Errorf("the kernel has no bpf(2): %v", err)
	}
}
