// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"h2sniff/decode/store"
)

// TestForms reads expressions and writes them in their usual form.
func TestForms(t *testing.T) {
	for text, want := range map[string]string{
		"13":                        "stream == 13",
		" 13 ":                      "stream == 13",
		"stream==13 && type!=PING":  "stream == 13 && type != PING",
		"stream=13 and TYPE!=ping":  "stream == 13 && type != PING",
		"1 or 3 and 5":              "stream == 1 || stream == 3 && stream == 5",
		"(1 or 3) and 5":            "(stream == 1 || stream == 3) && stream == 5",
		"1 or (3 or 5)":             "stream == 1 || stream == 3 || stream == 5",
		"not 1":                     "!(stream == 1)",
		"!!error":                   "!!error",
		"!(error || status)":        "!(error || status)",
		"type==0x10":                "type == PRIORITY_UPDATE",
		"type == 200":               "type == 200",
		"type in (DATA,1, 200)":     "type in (DATA, HEADERS, 200)",
		"status in (500..599,404)":  "status in (500..599, 404)",
		"conn==c3||conn==4":         "conn == c3 || conn == c4",
		"length>=16KiB":             "length >= 16384",
		"time > 1.5 && time<90":     "time > 1.5s && time < 1m30s",
		"time > 18ms":               "time > 18ms",
		"path contains /v1/":        `path contains "/v1/"`,
		`path matches "^/v[12]/"`:   `path matches "^/v[12]/"`,
		`path == "a b\"c\\"`:        `path == "a b\"c\\"`,
		`header[User-Agent]==curl`:  `header["user-agent"] == curl`,
		`header["x y"]`:             `header["x y"]`,
		"grpc.status != ok":         "grpc.status != OK",
		"grpc.status==99":           "grpc.status == 99",
		"grpc.status > 0":           "grpc.status > OK",
		"grpc.status<=unavailable":  "grpc.status <= UNAVAILABLE",
		"grpc.status in (1..0x10)":  "grpc.status in (CANCELLED..UNAUTHENTICATED)",
		"flag==end_stream":          "flag == END_STREAM",
		"flag == 0x4":               "flag == 0x4",
		"error==REFUSED_STREAM":     "error == REFUSED_STREAM",
		"error > 0":                 "",
		"trust==gap":                "trust == gap",
		"diag>=warning":             "diag >= warning",
		"diag == Window-Exhausted":  "diag == window-exhausted",
		"diag contains window":      `diag contains "window"`,
		"dir==recv && kind!=frame":  "dir == recv && kind != frame",
		"method in (GET, \"A..B\")": `method in (GET, "A..B")`,
		"comm == nginx && pid==42":  "comm == nginx && pid == 42",
	} {
		e, err := Parse(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s was read as %s", text, e)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.String(); got != want {
			t.Errorf("%s is written as %s, want %s", text, got, want)
		}
		again, err := Parse(want)
		if err != nil {
			t.Errorf("%s: %v", want, err)
		} else if got := again.String(); got != want {
			t.Errorf("%s is written as %s", want, got)
		}
	}
}

// What is suggested in place of a mistake is an expression.
func TestSuggestions(t *testing.T) {
	for _, text := range []string{"sid", "statu >= 5", "x-a == 1", "header.a-b == 1", "DATA", "CANCEL", "OK", "END_STREAM", "recv", "gap", "get", "c3",
		"/a", "/a..b", "headers.Te", "grpc-status", "flags"} {
		_, err := Parse(text)
		_, suggestion, ok := strings.Cut(strings.TrimSuffix(fmt.Sprint(err), "?"), ": ")
		if !ok {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if suggestion == "header" { // not without a name
			continue
		}
		if _, err := Parse(suggestion); err != nil {
			t.Errorf("%s: %s is suggested: %v", text, suggestion, err)
		}
	}
}

// TestMistakes shows where an error is and what is said of it.
func TestMistakes(t *testing.T) {
	for _, x := range []struct {
		text string
		at   int
		part string
	}{
		{"", 0, "a test is missing"},
		{"stream ==", 9, "a value is missing before the end"},
		{"stream == x", 10, "x is no stream: a number from 0 to 2147483647"},
		{"stream == 2147483648", 10, "a number from 0 to 2147483647"},
		{"strem == 1", 0, "there is no field strem"},
		{"sid == 1", 0, "there is no field sid: stream?"},
		{"statu >= 500", 0, "there is no field statu: status?"},
		{"grpc-status == 14", 0, "there is no field grpc-status: grpc.status?"},
		{"X-Request-Id == abc", 0, `there is no field X-Request-Id: header["x-request-id"]?`},
		{"header.te contains x", 0, `there is no field header.te: header["te"]?`},
		{"rst_stream", 0, "there is no field rst_stream: type == RST_STREAM?"},
		{"1 && CANCEL", 5, "there is no field CANCEL: error == CANCEL?"},
		{"UNAVAILABLE || 1", 0, "there is no field UNAVAILABLE: grpc.status == UNAVAILABLE?"},
		{"post", 0, "there is no field post: method == POST?"},
		{"c12", 0, "there is no field c12: conn == c12?"},
		{"/v1/items", 0, "there is no field /v1/items: path contains /v1/items?"},
		{"status == 2xx", 10, "2xx is no status: a number from 0 to 999; status in (200..299) for all of them"},
		{"stream contains 1", 7, "contains cannot be used with stream: it takes == != < <= > >= in"},
		{"path < x", 5, "< cannot be used with path"},
		{"1 2", 2, "2 cannot stand here: && or || is needed before it"},
		{"1 && ", 5, "a test is missing"},
		{"1 & 2", 2, "a single & means nothing: write &&"},
		{"(1 && 2", 7, "a ) is missing before the end"},
		{"1)", 1, ") cannot stand here"},
		{"path == \"abc", 8, "no closing quote"},
		{"path matches \"(\"", 13, "not a regular expression: missing closing )"},
		{"type == PONG", 8, "PONG is no type: a name such as DATA or HEADERS, or a number up to 255"},
		{"type in DATA", 8, "a list in parentheses is needed"},
		{"stream in {1,3}", 10, "a list is in round parentheses: in (…, …)"},
		{"path==/{id}", 7, "cannot stand here: put text that holds it in double quotes"},
		{"type in (DATA..PING)", 13, "type has no order"},
		{"grpc.status in (INTERNAL..1)", 26, "the range ends before it begins"},
		{"grpc.status > HIGH", 14, "HIGH is no grpc.status: a name such as OK or CANCELLED, or a number up to 4294967295"},
		{"grpc.status contains OK", 12, "contains cannot be used with grpc.status: it takes == != < <= > >= in"},
		{"status in (599..500)", 16, "the range ends before it begins"},
		{"status in (200 201)", 15, "a , or a ) is missing before 201"},
		{"header == x", 7, "the name of the header field is missing"},
		{"header[x == 1", 9, "a ] is missing before =="},
		{"flag == 0", 8, "0 is no flag"},
		{"time > -1", 7, "-1 is no time"},
		{"time > 1e3", 7, "1e3 is no time"},
		{"conn == x3", 8, "a connection is written as c3"},
		{"path nginx", 5, "an operator is needed before nginx: == != contains matches in"},
		{"diag < some-code", 7, "only severities can be compared so"},
		{strings.Repeat("(", 100) + "1", 101, "a ) is missing before the end"},
		{strings.Repeat("1||", 2000), MaxText, "at most 4096 octets"},
		{"path matches " + strings.Repeat("a", 1001), 13, "at most 1000 octets"},
	} {
		_, err := Parse(x.text)
		var fault *Error
		if !errors.As(err, &fault) {
			t.Errorf("%.40s: error %v", x.text, err)
			continue
		}
		if fault.At != x.at || !strings.Contains(fault.Text, x.part) {
			t.Errorf("%.40s: error at %d: %s; want %d: %s", x.text, fault.At, fault.Text, x.at, x.part)
		}
	}
}

func TestWithin(t *testing.T) {
	for text, want := range map[string]store.View{
		"13":                           {Stream: 13, HasStream: true},
		"conn==c3 && 13 && type==PING": {Conn: 3, Stream: 13, HasStream: true},
		"conn in (c3) && !13":          {Conn: 3},
		"conn==3 || 13":                {},
		"conn==0":                      {},
		"stream in (13..15)":           {},
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Compile(0).Within; got != want {
			t.Errorf("%s is within %+v, want %+v", text, got, want)
		}
	}
}

// TestComplete completes at the |.
func TestComplete(t *testing.T) {
	known := func(f *Field, _ string) []string {
		switch f.Name {
		case "comm":
			return []string{"nginx", "my server"}
		case "header":
			return []string{"x-trace", "User-Agent"}
		}
		return nil
	}
	for _, x := range []struct{ text, first, whole string }{
		{"st|", "stream", "stream"},
		{"sta|", "status", "status"},
		{"stream == 1 && ty|pe == DATA", "type", "stream == 1 && type == DATA"},
		{"type |", "==", "type =="},
		{"type con|", "", ""},
		{"path con|", "contains", "path contains"},
		{"type == S|", "SETTINGS", "type == SETTINGS"},
		{"type in (DATA, pi|", "PING", "type in (DATA, PING"},
		{"type in (DATA |", ",", "type in (DATA ,"},
		{"comm == |", "nginx", "comm == nginx"},
		{"comm == my|", `"my server"`, `comm == "my server"`},
		{`comm == "m|`, `"my server"`, `comm == "my server"`},
		{"header|", "header", "header"},
		{"header[|", `"x-trace"]`, `header["x-trace"]`},
		{"header[us|", `"user-agent"]`, `header["user-agent"]`},
		{`header["us|er"] == x`, `"user-agent"]`, `header["user-agent"] == x`},
		{"stream == 13 |", "&&", "stream == 13 &&"},
		{"(stream == 13 |", "&&", "(stream == 13 &&"},
		{"nonsense == |", "", ""},
		{"rst|", "type == RST_STREAM", "type == RST_STREAM"},
		{"13 && unav|", "grpc.status == UNAVAILABLE", "13 && grpc.status == UNAVAILABLE"},
		{"x-tr|ace == 1", `header["x-trace"]`, `header["x-trace"] == 1`},
		{"PO|", "method == POST", "method == POST"},
		{"nonsense|", "", ""},
		{"method == p|", "POST", "method == POST"},
		{"diag >= w|", "warning", "diag >= warning"},
		{"|", "stream", "stream"},
	} {
		before, behind, _ := strings.Cut(x.text, "|")
		c := Complete(before+behind, len(before), known)
		if x.first == "" {
			if len(c.Items) > 0 {
				t.Errorf("%s: offers %v", x.text, c.Items)
			}
			continue
		}
		if len(c.Items) == 0 || c.Items[0].Text != x.first {
			t.Errorf("%s: offers %v, want %s first", x.text, c.Items, x.first)
			continue
		}
		text := before + behind
		if got := text[:c.From] + c.Items[0].Text + text[c.To:]; got != x.whole {
			t.Errorf("%s becomes %s, want %s", x.text, got, x.whole)
		}
	}
}
