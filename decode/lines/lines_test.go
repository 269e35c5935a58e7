// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
	"h2sniff/decode/visible"
)

func TestParseFormat(t *testing.T) {
	for _, f := range []Format{Text, Plain, JSON} {
		got, err := ParseFormat(f.String())
		if got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %v, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("ParseFormat takes xml")
	}
}

// hostile returns rows in which every string is s.
func hostile(s string) []written {
	c := store.ConnSummary{ID: 1, Info: capture.ConnInfo{PID: 1, Comm: s, Library: s},
		Local: netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes().WithZone(s), 1), Evidence: capture.Exact}
	frame := func(t http2.FrameType, payload string) decode.Row {
		return decode.Row{Kind: decode.RowFrame, Conn: 1,
			Header: decode.FrameHeader{Type: t, Length: uint32(len(payload))}, Payload: []byte(payload)}
	}
	long := s[:min(len(s), 1<<16-1)]
	length := string([]byte{byte(len(long) >> 8), byte(len(long))})
	headers := frame(http2.FrameHeaders, "")
	headers.HasFields = true
	headers.Fields = []decode.Field{
		{Name: s, Value: s, NameKnown: true, ValueKnown: true},
		{Name: s, NameKnown: true, Trust: decode.UnknownSinceAttach},
		{Value: s, ValueKnown: true, Trust: decode.UnknownSinceGap, Unknown: -3, Epoch: 2},
	}
	headers.Err = &decode.FrameError{Code: http2.ErrCodeCompression, Reason: s}
	var rows []written
	for i, row := range []decode.Row{
		{Kind: decode.RowOpen, Conn: 1, Info: &c.Info},
		{Kind: decode.RowBind, Conn: 1, Binding: &capture.Binding{Local: c.Local, Remote: c.Local, Evidence: capture.Exact}},
		headers,
		frame(http2.FrameData, s),
		frame(http2.FrameGoAway, "\x00\x00\x00\x01\x00\x00\x00\x02"+s),
		frame(decode.FrameAltSvc, length+long+s),
		frame(decode.FrameOrigin, length+long),
		frame(decode.FramePriorityUpdate, "\x00\x00\x00\x01"+s),
		frame(0x2a, s),
		{Kind: decode.RowClose, Conn: 1},
	} {
		rows = append(rows, written{store.Entry{Seq: uint64(i + 1), Row: row}, c})
	}
	return rows
}

// checkHarmless checks that nothing in s but the ends of lines can act on a
// terminal, and that there are n of these.
func checkHarmless(t *testing.T, s string, n int) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if r != '\n' && !visible.Rune(r) {
			t.Errorf("%U in %q", r, s)
			break
		}
	}
	if got := strings.Count(s, "\n"); n > 0 && got != n {
		t.Errorf("%d lines, want %d: %q", got, n, s)
	}
}

var hostileStrings = []string{
	"", "plain", "\x1b]52;c;aGk=\x07", "\x1b[2J\x9b2J\u009b2J", "a\nb\r\nc\x00\t\x7f", "\u202eabc\u2066\u200f",
	"\u2028\u2029\ufeff\u200b", "\xff\xfe\xc0\x80\xed\xa0\x80", `"\` + "'</script>", "🎉 日本語 e\u0301", "\U000e0041\U0010ffff",
	strings.Repeat("\x1b", 70_000),
}

func TestHostileStrings(t *testing.T) {
	for _, s := range hostileStrings {
		checkHostile(t, s)
	}
}

func checkHostile(t *testing.T, s string) {
	rows := hostile(s)
	base := strings.Count(write(t, Options{}, hostile("x")), "\n")
	checkHarmless(t, write(t, Options{}, rows), base)
	checkHarmless(t, write(t, Options{Body: true}, rows), 0)
	checkHarmless(t, write(t, Options{Format: Plain}, rows), 7)
	out := write(t, Options{Format: JSON, Body: true}, rows)
	checkHarmless(t, out, len(rows))
	for line := range strings.Lines(out) {
		var v struct {
			Kind    string
			Headers []map[string]any
			Data    []byte
			Payload []byte
			Debug   string `json:"debug_data"`
			Debug64 []byte `json:"debug_data_base64"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if len(v.Headers) == 0 {
			continue
		}
		// What was sent comes back as it was.
		got, ok := v.Headers[0]["value"].(string)
		if utf8.ValidString(s) != ok || ok && got != s {
			t.Errorf("value %q came back as %q", s, got)
		}
		if _, there := v.Headers[1]["value"]; there {
			t.Errorf("a value that is not known is there: %s", line)
		}
		if v.Headers[2]["unknown"] != -3.0 || v.Headers[2]["epoch"] != 2.0 {
			t.Errorf("placeholder is %v", v.Headers[2])
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range hostileStrings {
		f.Add(s)
	}
	f.Fuzz(checkHostile)
}

// FuzzFrame writes frames with any header and payload.
func FuzzFrame(f *testing.F) {
	f.Add(byte(8), byte(0), uint32(0), uint32(4), uint32(0), []byte("\x00\x00\x00\x01"))
	f.Add(byte(0), byte(8), uint32(1), uint32(3), uint32(0), []byte("\xffab"))
	f.Add(byte(10), byte(0), uint32(0), uint32(2), uint32(1), []byte("\xff\xff"))
	f.Add(byte(5), byte(8), uint32(1), uint32(100), uint32(0), []byte("\x09"))
	f.Fuzz(func(t *testing.T, typ, flags byte, stream, length, missing uint32, payload []byte) {
		h := decode.FrameHeader{Type: http2.FrameType(typ), Flags: http2.Flags(flags), StreamID: stream & (1<<31 - 1),
			Length: max(length&(1<<24-1), uint32(len(payload)))}
		_, err := decode.ParsePayload(h, payload)
		rows := []written{{e: store.Entry{Seq: 1, Row: decode.Row{Kind: decode.RowFrame, Conn: 1, Header: h,
			Payload: payload, Missing: missing, Err: err}}}}
		for _, format := range []Format{Text, Plain, JSON} {
			out := write(t, Options{Format: format, Body: true}, rows)
			checkHarmless(t, out, 0)
			if format == JSON && !json.Valid([]byte(out)) {
				t.Errorf("not JSON: %s", out)
			}
		}
	})
}

// A value that is not there whole must not be shown as zero.
func TestNothingCertainNothingShown(t *testing.T) {
	for _, tt := range []struct {
		typ     http2.FrameType
		flags   http2.Flags
		payload string // of it a part is given
	}{
		{http2.FrameRSTStream, 0, "\x00\x00\x00\x08"},
		{http2.FramePing, 0, "12345678"},
		{http2.FrameGoAway, 0, "\x00\x00\x00\x01\x00\x00\x00\x02"},
		{http2.FrameWindowUpdate, 0, "\x00\x00\x00\x08"},
		{http2.FramePriority, 0, "\x00\x00\x00\x01\x02"},
		{http2.FrameHeaders, http2.FlagHeadersPriority, "\x00\x00\x00\x01\x02"},
		{http2.FramePushPromise, 0, "\x00\x00\x00\x02"},
		{decode.FrameAltSvc, 0, "\x00\x01ovalue"},
		{decode.FramePriorityUpdate, 0, "\x00\x00\x00\x02u=1"},
	} {
		row := decode.Row{Kind: decode.RowFrame, Conn: 1,
			Header: decode.FrameHeader{Type: tt.typ, Flags: tt.flags, Length: uint32(len(tt.payload))}}
		keys := func(payload string, missing uint32) map[string]any {
			r := row
			r.Payload, r.Missing = []byte(payload), missing
			out := write(t, Options{Format: JSON}, []written{{e: store.Entry{Seq: 1, Row: r}}})
			var v map[string]any
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		whole, none := keys(tt.payload, 0), keys("", 0)
		if len(whole) <= len(none) {
			t.Errorf("%s: a whole frame says no more than one without payload: %v", decode.TypeName(tt.typ), whole)
		}
		holed := keys(tt.payload, 1)
		delete(holed, "missing")
		if len(holed) != len(none) {
			t.Errorf("%s: shown of a payload with a hole: %v", decode.TypeName(tt.typ), holed)
		}
		for n := range len(tt.payload) {
			for k, v := range keys(tt.payload[:n], 0) {
				if want, ok := whole[k]; !ok || !equal(v, want) {
					t.Errorf("%s cut after %d octets: %q is %v, whole it is %v", decode.TypeName(tt.typ), n, k, v, want)
				}
			}
		}
	}
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

type counting struct{ writes []string }

func (c *counting) Write(p []byte) (int, error) {
	c.writes = append(c.writes, string(p))
	return len(p), nil
}

func TestWriter(t *testing.T) {
	rows := hostile("x")
	broken := errors.New("broken pipe")
	if err := NewWriter(failing{broken}, Options{}).Write(rows[0].e, rows[0].c); !errors.Is(err, broken) {
		t.Errorf("Write gave %v, want the error of the io.Writer", err)
	}
	var c counting
	w := NewWriter(&c, Options{Stream: 9, HasStream: true})
	for _, r := range rows {
		if err := w.Write(r.e, r.c); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.writes) != 3 { // open, bind, close: no frame is of stream 9
		t.Errorf("%d writes, want one for each row that is no frame: %q", len(c.writes), c.writes)
	}
	for _, s := range c.writes {
		if !strings.HasSuffix(s, "\n") {
			t.Errorf("%q is not whole lines", s)
		}
	}
}

func TestTimesBeforeTheStart(t *testing.T) {
	row := decode.Row{Kind: decode.RowGap, Conn: 1, Time: start - 1_500_000, GapReason: decode.GapLost, GapBytes: 1}
	rows := []written{{e: store.Entry{Seq: 1, Row: row}}}
	if got := write(t, Options{Format: Plain}, rows); !strings.HasPrefix(got, "[-0.00") {
		t.Errorf("plain: %s", got)
	}
	if got := write(t, Options{Format: JSON}, rows); !strings.Contains(got, `"elapsed":-0.001500000,`) {
		t.Errorf("JSON: %s", got)
	}
}

func BenchmarkWrite(b *testing.B) {
	rows := hostile("a value of thirty-two octets ...")
	for _, format := range []Format{Text, Plain, JSON} {
		b.Run(format.String(), func(b *testing.B) {
			w := NewWriter(&discard{}, Options{Format: format})
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(rows[2].e, rows[2].c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
