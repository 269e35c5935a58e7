// SPDX-License-Identifier: Apache-2.0

package har

import (
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// fuzzFields makes a field section of lines "name: value". A line that begins
// with ? has a value that is not known, one with ! a name.
func fuzzFields(text string) []decode.Field {
	list := []decode.Field{}
	for line := range strings.SplitSeq(text, "\n") {
		f := decode.Field{NameKnown: true, ValueKnown: true}
		if line != "" && (line[0] == '?' || line[0] == '!') {
			f.Trust, f.Unknown, f.NameKnown, f.ValueKnown = decode.UnknownSinceGap, 3, line[0] == '?', line[0] == '!'
			line = line[1:]
		}
		// The first octet may be the colon of a pseudo-header field.
		i := strings.Index(line[min(1, len(line)):], ": ") + min(1, len(line))
		if i < 1 {
			f.Name = line
		} else {
			f.Name, f.Value = line[:i], line[i+2:]
		}
		if !f.NameKnown {
			f.Name = ""
		}
		if !f.ValueKnown {
			f.Value = ""
		}
		list = append(list, f)
	}
	return list
}

// FuzzArchive: whatever an exchange is, the archive is one that HAR 1.2
// describes, and a header field that is not known is not given a value.
func FuzzArchive(f *testing.F) {
	request := ":method: GET\n:scheme: https\n:authority: a.example\n:path: /x?a=b&c=%20\ncookie: a=b; c=d"
	response := ":status: 200\ncontent-type: text/plain\nset-cookie: a=b; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT"
	f.Add(request, response, "", "body", uint8(0))
	f.Add(request, response, "a=b&c=%zz", "\x00\xff", uint8(2))
	f.Add(":method: CONNECT\n:scheme: https\n:path: /\n:protocol: websocket\n:authority: b:1", ":status: 200", "\x81\x02hi", "\x82\x01x", uint8(0))
	f.Add("?:path\n:authority: user@\n:scheme: javascript", ":status: 99999999999999999999\n!", "x", "", uint8(5))
	f.Add(":path: *\n:authority: [::1\nhost: b\n\xff: \xff", "?:status\n?content-type\nlocation: \xff", "", "x", uint8(8))
	f.Fuzz(func(t *testing.T, request, response, sent, received string, how uint8) {
		if len(request)+len(response) > 1<<14 {
			return
		}
		asked, answered := fuzzFields(request), fuzzFields(response)
		entries := archive(t, func(r *traffic) {
			r.headers(send, 1, 0, asked)
			r.data(send, 1, http2.Flags(how&1), sent)
			if how&2 == 0 {
				r.headers(recv, 1, 0, answered)
			}
			if how&4 != 0 {
				r.add(decode.Row{Kind: decode.RowGap, Direction: capture.Recv, GapBytes: 7})
			}
			r.data(recv, 1, http2.Flags(how>>3&1), received)
		})
		for _, e := range entries {
			for side, fields := range map[string][]decode.Field{"request": asked, "response": answered} {
				list := at(e, side+".headers").([]any)
				if len(list) != len(fields) && len(list) > 0 {
					t.Fatalf("%d header fields of %d", len(list), len(fields))
				}
				for i, h := range list {
					name, value := at(h, "name").(string), at(h, "value").(string)
					switch field := &fields[i]; {
					case !field.ValueKnown && !strings.HasPrefix(value, "‹"), !field.NameKnown && !strings.HasPrefix(name, "‹"):
						t.Fatalf("%+v is given as %v", field, h)
					case field.ValueKnown && at(h, "_valueBase64") == nil && value != field.Value:
						t.Fatalf("%q is given as %q", field.Value, value)
					}
				}
			}
		}
	})
}
