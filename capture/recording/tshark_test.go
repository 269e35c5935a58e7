// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"h2sniff/capture"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

// tshark runs stock tshark on a recording and gives the requested fields of
// every packet that the display filter lets pass.
func tshark(t *testing.T, file []byte, filter string, fields ...string) [][]string {
	t.Helper()
	exe, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is missing (Debian package tshark)")
		}
		t.Skip("tshark is missing (Debian package tshark)")
	}
	path := filepath.Join(t.TempDir(), "r.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "separator=|", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	args = append(args, strings.Fields(decodeAs)...)
	if filter != "" {
		args = append(args, "-Y", filter)
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "Running as user") {
			t.Errorf("tshark says: %s", line)
		}
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
	}
	return rows
}

const decodeAs = "-d tcp.port==443,http2 -d tcp.port==8443,http2"

// tsharkFrames gives the frames that tshark sees, by "connection direction",
// and checks that a TCP stream is one connection and the reverse.
func tsharkFrames(t *testing.T, file []byte, conns []*h2conn) map[string][]frame {
	t.Helper()
	client := make(map[string]string) // TCP stream: its SYN's source
	owner := make(map[string]string)  // TCP stream: connection
	stream := make(map[string]string)
	role := make(map[string]capture.Role)
	for _, c := range conns {
		role[c.id.String()] = c.role
	}
	frames := make(map[string][]frame)
	for _, row := range tshark(t, file, "", "frame.interface_name", "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport",
		"tcp.flags", "http2.type", "http2.length", "http2.flags", "http2.streamid") {
		conn, str, src := row[0], row[1], row[2]+row[3]+" "+row[4]
		if row[5] == "0x0002" {
			client[str], owner[str], stream[conn] = src, conn, str
		}
		if owner[str] != conn || stream[conn] != str {
			t.Fatalf("TCP stream %s of %s has a packet of %s", str, owner[str], conn)
		}
		d := capture.Recv
		if (src == client[str]) == (role[conn] == capture.Client) {
			d = capture.Send
		}
		if row[6] == "" {
			continue
		}
		key := conn + " " + d.String()
		lengths, flags, streams := strings.Split(row[7], ","), strings.Split(row[8], ","), strings.Split(row[9], ",")
		for i, typ := range strings.Split(row[6], ",") {
			f := frame{
				typ: http2.FrameType(number(t, typ)), length: uint32(number(t, lengths[i])),
				flags: http2.Flags(number(t, flags[i])), stream: uint32(number(t, streams[i])),
			}
			frames[key] = append(frames[key], f)
		}
	}
	if len(stream) != len(conns) {
		t.Fatalf("tshark sees %d connections of %d", len(stream), len(conns))
	}
	return frames
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func checkFrames(t *testing.T, file []byte, conns []*h2conn) {
	t.Helper()
	want := make(map[string][]frame)
	for _, c := range conns {
		for d, f := range c.frames {
			want[fmt.Sprint(c.id, " ", capture.Direction(d))] = f
		}
	}
	if d := cmp.Diff(want, tsharkFrames(t, file, conns), cmp.AllowUnexported(frame{})); d != "" {
		t.Errorf("frames differ (-put in +tshark):\n%s", d)
	}
	if bad := tshark(t, file, "_ws.malformed || !(tcp.checksum.status == Good) || ip && !(ip.checksum.status == Good)", "frame.number", "_ws.expert.message"); bad != nil {
		t.Errorf("tshark finds malformed: %v", bad)
	}
}

func TestTshark(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	binds := []struct {
		name, local, remote string
		role                capture.Role
	}{
		{"IPv4 server", "192.0.2.1:8443", "192.0.2.2:50000", capture.Server},
		{"IPv6 client", "[2001:db8::1]:50000", "[2001:db8::2]:443", capture.Client},
		{"other end of the first", "192.0.2.2:50000", "192.0.2.1:8443", capture.Client},
		{"IPv4 in IPv6", "[::ffff:192.0.2.7]:443", "[::ffff:192.0.2.8]:50000", capture.Server},
		{"unknown client", "", "", capture.Client},
		{"unknown server", "", "", capture.Server},
		{"known late", "192.0.2.3:8443", "192.0.2.4:50000", capture.Server},
	}
	var conns []*h2conn
	for i, b := range binds {
		c := newH2conn(capture.ConnID(i+1), b.role, rng)
		if b.local != "" && b.name != "known late" {
			c.bind(b.local, b.remote, capture.Exact)
		}
		for s := uint32(1); s < 12; s += 2 {
			// Events from less than a frame header to more than a packet;
			// small pieces of large frames would keep tshark busy for minutes.
			size := []int{0, 10, 1000, 40000, 300000}[s/2%5]
			c.exchange(s, size)
			c.cut([]int{8, 100, 1000, 10000, 200000}[s/2%5])
			if s == 5 && b.name == "known late" {
				c.bind(b.local, b.remote, capture.Inferred)
				c.bind("", "", capture.Withdrawn)
			}
		}
		if i%2 == 0 {
			c.close()
		}
		conns = append(conns, c)
	}
	// c1 is bound first, so that it is the one to bear the real addresses.
	events := slices.Clone(conns[0].events[:2])
	conns[0].events = conns[0].events[2:]
	events = append(events, interleave(rng, conns)...)
	checkRoundTrip(t, events)
	file := write(t, events)
	checkFrames(t, file, conns)

	if rows := tshark(t, file, `frame.interface_name == "c4" && ip.src == 192.0.2.7`, "tcp.seq"); len(rows) == 0 {
		t.Error("IPv4 in IPv6 is not shown as IPv4")
	}

	// What the comments and options say reaches the user.
	if rows := tshark(t, file, `frame.interface_name == "c1" && tcp.flags.syn == 1 && frame.comment contains "\"pid\":100,"`, "ip.src", "ip.dst"); len(rows) != 1 || rows[0][0] != "192.0.2.2" {
		t.Errorf("the handshake of c1 is told so: %v", rows)
	}
	if rows := tshark(t, file, `frame.interface_name == "c3" && frame.comment contains "another connection bears"`, "ip.src", "ip.dst"); len(rows) != 1 ||
		!strings.HasPrefix(rows[0][0], "198.18.") || !strings.HasPrefix(rows[0][1], "198.19.") {
		t.Errorf("the made-up addresses of c3 are told so: %v", rows)
	}
}

// TestTsharkGaps: lost octets are a hole in the sequence numbers, octets that
// were not copied are in packets cut short, and tshark decodes the frames
// around both.
func TestTsharkGaps(t *testing.T) {
	for _, c := range []struct {
		name, local, remote string
		most                int // octets in a packet
	}{
		{"IPv4", "192.0.2.1:443", "192.0.2.2:50000", 65495},
		{"IPv6", "[2001:db8::1]:443", "[2001:db8::2]:50000", 65475},
	} {
		t.Run(c.name, func(t *testing.T) { testTsharkGaps(t, c.local, c.remote, c.most) })
	}
}

func testTsharkGaps(t *testing.T, local, remote string, most int) {
	rng := rand.New(rand.NewPCG(3, 4))
	c := newH2conn(1, capture.Server, rng)
	c.bind(local, remote, capture.Exact)
	c.exchange(1, 100)
	c.cut(1 << 20)
	last := &c.events[len(c.events)-1]
	holeAt := last.Offset + last.Length

	const lost = 1000
	c.pos[capture.Send] += lost // a hole that no event tells of
	c.exchange(3, 200)
	c.cut(1 << 20)
	c.events = append(c.events, capture.Event{Kind: capture.Lost, Direction: capture.Send, Conn: 1, Offset: c.pos[capture.Send], Length: 70000})
	c.pos[capture.Send] += 70000
	c.exchange(5, 300)
	c.cut(1 << 20)
	c.events = append(c.events, capture.Event{Kind: capture.Data, Direction: capture.Send, Conn: 1, Offset: c.pos[capture.Send], Length: 100000})
	c.pos[capture.Send] += 100000
	c.exchange(7, 400)
	c.cut(1 << 20)
	conns := []*h2conn{c}
	file := write(t, c.events)
	checkRoundTrip(t, c.events)

	got := tsharkFrames(t, file, conns)
	if d := cmp.Diff(c.frames[capture.Recv], got["c1 recv"], cmp.AllowUnexported(frame{})); d != "" {
		t.Errorf("frames of the whole direction differ (-put in +tshark):\n%s", d)
	}
	if d := cmp.Diff(c.frames[capture.Send], got["c1 send"], cmp.AllowUnexported(frame{})); d != "" {
		t.Errorf("frames of the direction with gaps differ (-put in +tshark):\n%s", d)
	}
	rows := tshark(t, file, "tcp.analysis.lost_segment && tcp.len > 0", "tcp.seq")
	want := []string{fmt.Sprint(1 + holeAt + lost)}
	if len(rows) == 0 || rows[0][0] != want[0] {
		t.Errorf("tshark finds holes before %v, want the first before %v", rows, want)
	}
	rows = tshark(t, file, "frame.cap_len < frame.len", "tcp.len")
	if d := cmp.Diff([][]string{{strconv.Itoa(most)}, {strconv.Itoa(100000 - most)}}, rows); d != "" {
		t.Errorf("octets not copied (-want +tshark):\n%s", d)
	}
}

func TestTshark200Connections(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var conns []*h2conn
	for i := range 200 {
		c := newH2conn(capture.ConnID(i+1), capture.Role(1+i%2), rng)
		if i%3 == 0 {
			c.bind(fmt.Sprintf("192.0.2.1:%d", 20000+i), "192.0.2.2:443", capture.Exact)
		}
		for s := uint32(1); s < 8; s += 2 {
			c.exchange(s, rng.IntN(3000))
			c.cut(2000)
		}
		c.close()
		conns = append(conns, c)
	}
	events := interleave(rng, conns)
	file := write(t, events)
	checkFrames(t, file, conns)
	checkRoundTrip(t, events)

	// Each end has acknowledged all that the other sent: SYN, octets, FIN.
	for _, row := range tshark(t, file, `tcp.flags.fin == 1 && frame.comment contains "close"`, "frame.interface_name", "tcp.ack") {
		i, err := strconv.Atoi(row[0][1:])
		if err != nil {
			t.Fatal(err)
		}
		if want := conns[i-1].pos[capture.Recv] + 2; number(t, row[1]) != want {
			t.Errorf("%s ends with acknowledgement %s, want %d", row[0], row[1], want)
		}
	}
	if rows := tshark(t, file, "tcp.analysis.flags", "frame.number", "_ws.expert.message"); rows != nil {
		t.Errorf("tshark finds fault with TCP: %v", rows)
	}
}

// TestTsharkReuse: connections that follow one another on the same addresses
// are streams of their own.
func TestTsharkReuse(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var conns []*h2conn
	var events []capture.Event
	for i := range 5 {
		c := newH2conn(capture.ConnID(i+1), capture.Client, rng)
		c.bind("192.0.2.1:50000", "192.0.2.2:8443", capture.Exact)
		c.exchange(1, 100)
		c.cut(1000)
		c.close()
		conns = append(conns, c)
		events = append(events, c.events...)
	}
	file := write(t, events)
	checkFrames(t, file, conns)
	if rows := tshark(t, file, "tcp.flags.syn == 1 && tcp.flags.ack == 0 && ip.src == 192.0.2.1", "tcp.stream"); len(rows) != 5 {
		t.Errorf("%d of 5 connections bear the real addresses", len(rows))
	}
}
