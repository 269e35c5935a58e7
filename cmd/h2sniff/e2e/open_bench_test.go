// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"h2sniff/capture"
)

// BenchmarkOpen opens a recording of a million frames of small gRPC calls in
// the user interface, and has tshark read it: when the first frames are on the
// screen, when all are there, and the memory that it takes.
func BenchmarkOpen(b *testing.B) {
	needPrograms(b, "tmux", "tshark")
	const frames = 1_000_000
	path := filepath.Join(sharedDir(b), "million.pcapng")
	decodeAs := writeRecording(b, path, func(write func(*capture.Event)) { writeCalls(frames, write) })
	for b.Loop() {
		s := startScreen(b, 120, 36)
		begin := time.Now()
		s.keys(h2sniff+" -r "+path, "Enter")
		s.waitFor("SETTINGS")
		b.ReportMetric(time.Since(begin).Seconds(), "s/first-screen")
		s.waitFor("999,994 frames")
		b.ReportMetric(time.Since(begin).Seconds(), "s/all")
		b.ReportMetric(peakMiB(b, path), "MiB")
		s.keys("q")
		s.waitForShell()

		cmd := exec.Command("tshark", append(strings.Fields(decodeAs), "-r", path)...) // its lines go nowhere
		begin = time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatalf("tshark: %v", err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/tshark")
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MiB-tshark")
		b.ReportMetric(0, "ns/op")
	}
}

// peakMiB is the most that the h2sniff with an argument had in memory.
func peakMiB(b *testing.B, argument string) float64 {
	b.Helper()
	lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		b.Fatal(err)
	}
	for _, list := range lists {
		args, _ := os.ReadFile(list)
		if !bytes.HasPrefix(args, []byte(h2sniff)) || !bytes.Contains(args, []byte(argument)) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(list), "status"))
		if err != nil {
			b.Fatal(err)
		}
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		kib, err := strconv.Atoi(strings.Fields(peak)[0])
		if err != nil {
			b.Fatal(err)
		}
		return float64(kib) / 1024
	}
	b.Fatal("h2sniff does not run")
	return 0
}

// writeCalls writes unary calls of seven frames each, on 50 connections that a
// server sees.
func writeCalls(frames int, write func(*capture.Event)) {
	type side struct {
		out    bytes.Buffer
		framer *http2.Framer
		block  bytes.Buffer
		hpack  *hpack.Encoder
		pos    uint64
	}
	newSide := func() *side {
		s := new(side)
		s.framer = http2.NewFramer(&s.out, nil)
		s.hpack = hpack.NewEncoder(&s.block)
		return s
	}
	headers := func(s *side, stream uint32, end bool, fields ...string) {
		s.block.Reset()
		for i := 0; i < len(fields); i += 2 {
			s.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: s.block.Bytes(), EndHeaders: true, EndStream: end})
	}
	const conns = 50
	message := []byte("\x00\x00\x00\x00\x14\x0a\x12this is a message.")
	var sides [conns][2]*side
	now := int64(1.8e18)
	send := func(conn int, dir capture.Direction) {
		s := sides[conn][dir]
		now += 1000
		write(&capture.Event{Kind: capture.Data, Conn: capture.ConnID(conn + 1), TID: 9, Direction: dir, Time: now,
			Offset: s.pos, Length: uint64(s.out.Len()), Data: s.out.Bytes()})
		s.pos += uint64(s.out.Len())
		s.out.Reset()
	}
	for conn := range conns {
		sides[conn] = [2]*side{newSide(), newSide()}
		id := capture.ConnID(conn + 1)
		write(&capture.Event{Kind: capture.Open, Conn: id, TID: 9, Time: now, Info: &capture.ConnInfo{PID: 9, TID: 9, Comm: "server", Library: "libssl.so.3", Role: capture.Server, Fresh: true}})
		write(&capture.Event{Kind: capture.Bind, Conn: id, TID: 9, Time: now, Binding: &capture.Binding{Evidence: capture.Exact,
			Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(50000+conn))}})
		client := sides[conn][capture.Recv]
		client.out.WriteString(http2.ClientPreface)
		client.framer.WriteSettings()
		send(conn, capture.Recv)
		sides[conn][capture.Send].framer.WriteSettings()
		send(conn, capture.Send)
	}
	for call := range (frames - 2*conns) / 7 {
		conn, stream := call%conns, uint32(1+2*(call/conns))
		client, server := sides[conn][capture.Recv], sides[conn][capture.Send]
		headers(client, stream, false, ":method", "POST", ":scheme", "http", ":path", fmt.Sprint("/echo.Echo/Method", call%100),
			":authority", "localhost:50051", "content-type", "application/grpc", "user-agent", "grpc-go/1.70.0", "te", "trailers", "grpc-timeout", fmt.Sprint(call%1000, "u"))
		client.framer.WriteData(stream, true, message)
		send(conn, capture.Recv)
		server.framer.WriteWindowUpdate(0, 25)
		server.framer.WritePing(false, [8]byte{2, 4, 16, 16, 9, 14, 7, 7})
		send(conn, capture.Send)
		headers(server, stream, false, ":status", "200", "content-type", "application/grpc")
		server.framer.WriteData(stream, false, message)
		headers(server, stream, true, "grpc-status", "0", "grpc-message", "")
		send(conn, capture.Send)
	}
}
