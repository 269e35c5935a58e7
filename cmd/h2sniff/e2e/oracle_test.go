// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"h2sniff/capture"
)

// oracleFrame is a frame as tshark tells it, and as our JSON lines do.
type oracleFrame struct {
	typ, flags     uint8
	length, stream uint32
	what           string // what else tshark has for this type
	names, values  string // each name behind \x1f
	repr, index    string // how each field was represented, and the indices
}

// The fields asked of tshark, in the order of parseOracle.
var oracleFields = []string{
	"frame.interface_name", "ip.src", "ipv6.src", "tcp.srcport", "http2.magic",
	"http2.type", "http2.length", "http2.flags", "http2.streamid",
	"http2.header.name", "http2.header.value", "http2.header.repr", "http2.header.index",
	"http2.settings.id", "http2.settings.header_table_size", "http2.settings.enable_push", "http2.settings.max_concurrent_streams",
	"http2.settings.initial_window_size", "http2.settings.max_frame_size", "http2.settings.max_header_list_size",
	"http2.rst_stream.error", "http2.goaway.error", "http2.goaway.last_stream_id", "http2.window_update.window_size_increment",
	"http2.ping", "http2.pong", "http2.push_promise.promised_stream_id",
	"http2.stream_dependency", "http2.headers.weight", "http2.exclusive", "http2.pad_length",
}

const oracleSep = "\x1f"

// askOracle has tshark decode a recording in which no packet has more than one
// frame, and gives the frames of each connection, first those of its client.
func askOracle(t testing.TB, path, decodeAs string) map[string]*[2][]oracleFrame {
	t.Helper()
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "aggregator=" + oracleSep}
	args = append(args, strings.Fields(decodeAs)...)
	for _, f := range oracleFields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conns := make(map[string]*[2][]oracleFrame)
	// Who is the client is told by the preface: of a server that speaks first
	// the recording's handshake can only guess.
	first := make(map[string]string) // source of the first packet, by connection
	swapped := make(map[string]bool) // it was the server's
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		if len(c) != len(oracleFields) {
			t.Fatalf("%d columns: %.300q", len(c), lines.Text())
		}
		name, src := c[0], c[1]+c[2]+" "+c[3]
		if conns[name] == nil {
			conns[name] = new([2][]oracleFrame)
			first[name] = src
		}
		if c[4] != "" {
			swapped[name] = src != first[name]
		}
		if c[5] == "" {
			continue // no frame: handshake, preface, a part of one
		}
		side := 0
		if src != first[name] {
			side = 1
		}
		conns[name][side] = appendOracle(conns[name][side], parseOracle(t, c))
	}
	if err := cmd.Wait(); err != nil || lines.Err() != nil {
		t.Fatalf("tshark: %v, %v", err, lines.Err())
	}
	for name, sides := range conns {
		if swapped[name] {
			sides[0], sides[1] = sides[1], sides[0]
		}
	}
	return conns
}

// appendOracle moves what tshark tells of a field block with its first frames
// to the one that ends it, where we tell it.
func appendOracle(list []oracleFrame, f oracleFrame) []oracleFrame {
	const endHeaders = 4
	if n := len(list); n > 0 && f.typ == 9 && list[n-1].flags&endHeaders == 0 {
		begun := &list[n-1]
		join := func(a, b string) string {
			if a == "" || b == "" {
				return a + b
			}
			return a + oracleSep + b
		}
		f.names, f.values, f.index = join(begun.names, f.names), join(begun.values, f.values), join(begun.index, f.index)
		f.repr = begun.repr + f.repr
		begun.names, begun.values, begun.index, begun.repr = "", "", "", ""
	}
	return append(list, f)
}

func parseOracle(t testing.TB, c []string) oracleFrame {
	t.Helper()
	if strings.Contains(c[5], oracleSep) {
		t.Fatalf("a packet with several frames: %q", c)
	}
	f := oracleFrame{
		typ: uint8(number(t, c[5], 10)), length: number(t, c[6], 10),
		flags: uint8(number(t, strings.TrimPrefix(c[7], "0x"), 16)), stream: number(t, c[8], 10),
		names: c[9], values: c[10], index: c[12],
	}
	for r := range strings.SplitSeq(c[11], oracleSep) {
		r, _, _ = strings.Cut(r, " - ")
		f.repr += oracleForms[r]
	}
	var b strings.Builder
	switch f.typ {
	case 4:
		values := c[14:20] // by id from 1 on
		for id := range strings.SplitSeq(c[13], oracleSep) {
			if n, err := strconv.ParseUint(id, 0, 16); err == nil && n >= 1 && n <= 6 {
				fmt.Fprintf(&b, "%d=%s ", n, values[n-1])
			}
		}
	case 3:
		b.WriteString(c[20])
	case 7:
		b.WriteString(c[21] + " " + c[22])
	case 8:
		b.WriteString(c[23])
	case 6:
		b.WriteString(strings.ReplaceAll(c[24]+c[25], ":", ""))
	case 5:
		b.WriteString(c[26])
	}
	if f.typ == 2 || f.typ == 1 && f.flags&0x20 != 0 {
		b.WriteString(c[27] + " " + c[28] + " " + strings.NewReplacer("True", "1", "False", "0").Replace(c[29]))
	}
	if f.flags&8 != 0 && (f.typ == 0 || f.typ == 1 || f.typ == 5) {
		b.WriteString(" pad " + c[30])
	}
	f.what = b.String()
	return f
}

// oracleForms gives a letter for what tshark calls a representation.
var oracleForms = map[string]string{
	"Indexed Header Field":                           "i",
	"Literal Header Field with Incremental Indexing": "+",
	"Literal Header Field without Indexing":          "l",
	"Literal Header Field never Indexed":             "n",
}

// jsonFrame is what of a JSON line is compared.
type jsonFrame struct {
	Kind, Conn, Dir, Role string
	Type                  uint8  `json:"type_code"`
	Flags                 uint8  `json:"flags_code"`
	Stream                uint32 `json:"stream"`
	Length                uint32 `json:"length"`
	Error                 string `json:"error"`
	Reason                string `json:"reason"`
	Headers               []struct {
		Name     string `json:"name"`
		Value    string `json:"value"`
		Trust    string `json:"trust"`
		Encoding struct {
			Form  string `json:"form"`
			Index uint32 `json:"index"`
		} `json:"encoding"`
	} `json:"headers"`
	Settings []struct {
		ID    uint16 `json:"id"`
		Value uint32 `json:"value"`
	} `json:"settings"`
	ErrorCode      uint32 `json:"error_code"`
	LastStream     uint32 `json:"last_stream"`
	Increment      uint32 `json:"increment"`
	PromisedStream uint32 `json:"promised_stream"`
	PadLength      uint32 `json:"pad_length"`
	Ping           string `json:"ping"`
	Priority       *struct {
		Exclusive bool   `json:"exclusive"`
		Stream    uint32 `json:"stream_dependency"`
		Weight    uint16 `json:"weight"`
	} `json:"priority"`
}

func (j *jsonFrame) frame(t testing.TB) oracleFrame {
	f := oracleFrame{typ: j.Type, flags: j.Flags, length: j.Length, stream: j.Stream}
	var names, values, index []string
	for _, h := range j.Headers {
		if h.Trust != "exact" {
			t.Errorf("%s %s: %s is %s", j.Conn, j.Dir, h.Name, h.Trust)
		}
		names, values = append(names, h.Name), append(values, h.Value)
		f.repr += map[string]string{"indexed": "i", "incremental indexing": "+", "without indexing": "l", "never indexed": "n"}[h.Encoding.Form]
		if h.Encoding.Index != 0 {
			index = append(index, strconv.Itoa(int(h.Encoding.Index)))
		}
	}
	f.names, f.values, f.index = strings.Join(names, oracleSep), strings.Join(values, oracleSep), strings.Join(index, oracleSep)
	var b strings.Builder
	switch j.Type {
	case 4:
		for _, s := range j.Settings {
			if s.ID >= 1 && s.ID <= 6 {
				fmt.Fprintf(&b, "%d=%d ", s.ID, s.Value)
			}
		}
	case 3:
		fmt.Fprint(&b, j.ErrorCode)
	case 7:
		fmt.Fprint(&b, j.ErrorCode, " ", j.LastStream)
	case 8:
		fmt.Fprint(&b, j.Increment)
	case 6:
		b.WriteString(j.Ping)
	case 5:
		fmt.Fprint(&b, j.PromisedStream)
	}
	if p := j.Priority; p != nil {
		exclusive := 0
		if p.Exclusive {
			exclusive = 1
		}
		fmt.Fprint(&b, p.Stream, " ", p.Weight-1, " ", exclusive)
	}
	if j.Flags&8 != 0 && (j.Type == 0 || j.Type == 1 || j.Type == 5) {
		fmt.Fprint(&b, " pad ", j.PadLength)
	}
	f.what = b.String()
	return f
}

// askH2sniff gives what "h2sniff dump -r" says of a recording, like askOracle.
// No frame may be malformed.
func askH2sniff(t testing.TB, path string) map[string]*[2][]oracleFrame {
	t.Helper()
	cmd := exec.Command(h2sniff, "dump", "-r", path, "--format", "json", "--verbose")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*[2][]oracleFrame) // by direction
	role := make(map[string]string)
	lines := json.NewDecoder(out)
	for lines.More() {
		var j jsonFrame
		if err := lines.Decode(&j); err != nil {
			t.Fatal(err)
		}
		if j.Role != "" {
			role[j.Conn] = j.Role
		}
		if j.Error == "the connection ended before the frame did" || j.Error == "the capture ended before the frame did" || j.Reason == "not sent" {
			continue // an upload that nobody read, or a Write to who has left
		}
		if j.Kind == "gap" || j.Error != "" {
			t.Errorf("%s %s: %s %s", j.Conn, j.Dir, j.Kind, j.Error)
		}
		if j.Kind != "frame" {
			continue
		}
		if all[j.Conn] == nil {
			all[j.Conn] = new([2][]oracleFrame)
		}
		d := capture.Send
		if j.Dir == "recv" {
			d = capture.Recv
		}
		all[j.Conn][d] = append(all[j.Conn][d], j.frame(t))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for conn, sides := range all {
		if role[conn] == "server" { // receives what the client sends
			sides[0], sides[1] = sides[1], sides[0]
		}
	}
	return all
}

// wantOracle wants our account of a recording to be tshark's, frame for frame.
// It returns how many frames and fields were compared.
func wantOracle(t testing.TB, got, want map[string]*[2][]oracleFrame) (frames, fields int) {
	t.Helper()
	for conn, sides := range want {
		if len(sides[0])+len(sides[1]) > 0 && got[conn] == nil {
			t.Errorf("%s is missing", conn)
		}
	}
	for conn, sides := range got {
		if want[conn] == nil {
			t.Errorf("tshark has no %s", conn)
			continue
		}
		for i, side := range sides {
			who := []string{"client", "server"}[i]
			for n := range max(len(side), len(want[conn][i])) {
				switch {
				case n >= len(side):
					t.Fatalf("%s, %s: %d frames, tshark has %d", conn, who, len(side), len(want[conn][i]))
				case n >= len(want[conn][i]):
					t.Fatalf("%s, %s: %d frames, tshark has %d; next is %+v", conn, who, len(side), len(want[conn][i]), side[n])
				case side[n] != want[conn][i][n]:
					t.Fatalf("%s, %s, frame %d:\nh2sniff %+v\ntshark  %+v", conn, who, n, side[n], want[conn][i][n])
				}
				frames++
				fields += len(side[n].repr)
			}
		}
	}
	return frames, fields
}

// recordPID records what a process and its children do while traffic runs.
func recordPID(t testing.TB, pid int, traffic func()) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recorded.pcapng")
	s := startSniffCommand(t, exec.Command(h2sniff, "record", "--headers-only=false", "-w", path, "-p", strconv.Itoa(pid)))
	traffic()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit status %d: %s", code, s.errors())
	}
	return path
}

// TestOracleGenerated: the same of generated frames of every type.
func TestOracleGenerated(t *testing.T) {
	needPrograms(t, "tshark")
	oracleGenerated(t, 40_000)
}

// BenchmarkOracleGenerated is the long form: a million frames. Its figures are
// those of both programs' runs together.
func BenchmarkOracleGenerated(b *testing.B) {
	needPrograms(b, "tshark")
	for b.Loop() {
		oracleGenerated(b, 1_000_000)
	}
}

func oracleGenerated(t testing.TB, n int) {
	path := filepath.Join(t.TempDir(), "generated.pcapng")
	decodeAs := generateRecording(t, path, n)
	frames, fields := wantOracle(t, askH2sniff(t, path), askOracle(t, path, decodeAs))
	t.Logf("%d frames, %d header fields", frames, fields)
	if frames < n {
		t.Errorf("%d frames compared, %d were made", frames, n)
	}
}
