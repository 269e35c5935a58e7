// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

// cleartextModes are those that the kernel can: by its system calls, and by TCP.
func cleartextModes() map[string]bpf.Mode {
	modes := map[string]bpf.Mode{"system calls": {}}
	if bpf.HaveTCPTracepoints() == nil {
		modes["TCP"] = bpf.Mode{TCP: true}
	}
	return modes
}

// TestEveryModeFollows: each way to see what moves on a socket gives the same.
func TestEveryModeFollows(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	for name, mode := range cleartextModes() {
		t.Run(name, func(t *testing.T) {
			preface := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
			answer := "\x00\x00\x00\x04\x01\x00\x00\x00\x00" + strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 2000)
			events, _ := captureWhile(t, mode, followSelf(t), func() {
				client, server := tcpPair(t)
				pass(t, client, server, preface)
				pass(t, server, client, answer)
				client.Close()
				server.Close()
			})
			got := make(map[string]string) // octets by connection and direction
			for _, ev := range events {
				if ev.Kind == capture.Data {
					if ev.Length != uint64(len(ev.Data)) {
						t.Errorf("%d octets of %d", len(ev.Data), ev.Length)
					}
					got[ev.Conn.String()+" "+ev.Direction.String()] += string(ev.Data)
				}
			}
			found := make(map[string]int)
			for way, octets := range got {
				_, dir, _ := strings.Cut(way, " ")
				switch octets {
				case preface:
					found[dir+" preface"]++
				case answer:
					found[dir+" answer"]++
				default:
					t.Errorf("%s: %d octets that nobody sent so", way, len(octets))
				}
			}
			for _, way := range []string{"send preface", "recv preface", "send answer", "recv answer"} {
				if found[way] != 1 {
					t.Errorf("%s: %d times", way, found[way])
				}
			}
		})
	}
}

func followSelf(t testing.TB) func(*Attacher) {
	return func(a *Attacher) {
		if err := a.Follow(os.Getpid(), bpf.FollowTree); err != nil {
			t.Fatal(err)
		}
	}
}

// tcpPair gives both ends of a connection on loopback.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func pass(t testing.TB, from, to net.Conn, octets string) {
	t.Helper()
	if _, err := from.Write([]byte(octets)); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 4096)
	for n := 0; n < len(octets); {
		m, err := to.Read(buf)
		if err != nil {
			t.Error(err)
			return
		}
		n += m
	}
}

// BenchmarkSystemCall gives what following a process for cleartext HTTP/2 costs,
// in ns a call: one that has nothing to do with sockets, a receive that finds
// nothing on a socket that carries TLS, and an octet sent and received on one; for
// the process that is followed and, of the first, for all others.
func BenchmarkSystemCall(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("missing: root")
	}
	measure := func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		client, server := tcpPair(b)
		defer client.Close()
		defer server.Close()
		pass(b, client, server, "\x16\x03\x01\x00\x05hello")
		pass(b, server, client, "\x16\x03\x03\x00\x05hello")
		a, z := descriptor(b, client), descriptor(b, server)
		octet := make([]byte, 1)
		calls := []struct {
			name string
			call func() error
		}{
			{"getppid", func() error { unix.Getppid(); return nil }},
			{"recv", func() error {
				if _, _, err := unix.Recvfrom(z, octet, unix.MSG_DONTWAIT); err != unix.EAGAIN {
					return err
				}
				return nil
			}},
			{"send-recv", func() error {
				if err := unix.Sendto(a, octet, 0, nil); err != nil {
					return err
				}
				_, _, err := unix.Recvfrom(z, octet, 0)
				return err
			}},
		}
		for _, c := range calls {
			b.Run(c.name, func(b *testing.B) {
				for b.Loop() {
					if err := c.call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("nothing", measure)
	for name, mode := range cleartextModes() {
		objs, err := bpf.LoadMode(bpf.Options{RingBytes: 1 << 20}, mode)
		if err != nil {
			b.Fatal(err)
		}
		defer objs.Close()
		attacher, err := NewAttacher(objs, func(uint32, string) {})
		if err != nil {
			b.Fatal(err)
		}
		followSelf(b)(attacher)
		b.Run(name, measure)
		if err := attacher.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func descriptor(b *testing.B, c net.Conn) int {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(f uintptr) { fd = int(f) }); err != nil {
		b.Fatal(err)
	}
	return fd
}
