// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"h2sniff/capture"
	"h2sniff/cmd/h2sniff/privilege"
	"h2sniff/decode"
	"h2sniff/decode/diagnose"

	"github.com/spf13/cobra"
)

// newCheck makes the command that diagnoses a recording.
func newCheck(std stdio) *cobra.Command {
	c := checker{least: decode.Note}
	var format checkFormat
	cmd := &cobra.Command{
		Use:   "check [flags] FILE",
		Short: "Diagnose a recording: broken rules, stalls, resets, floods; exit status 1 if there is an error",
		Example: `  h2sniff check x.pcapng
  h2sniff check --severity error x.pcapng && echo fine
  h2sniff check --format json x.pcapng | jq 'select(.code=="goaway")'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("check needs one recording: h2sniff check FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := privilege.Forgo(); err != nil {
				return err
			}
			c.json = bool(format)
			return c.run(cmd.Context(), args[0], std)
		},
	}
	cmd.Flags().Var(&format, "format", "lines as text or json")
	cmd.Flags().Var((*severityFlag)(&c.least), "severity", "print only what is at least a note, warning or error")
	completeFlag(cmd, "format", "text", "json")
	completeFlag(cmd, "severity", "note", "warning", "error")
	return cmd
}

// checker prints the diagnoses of a recording. It keeps no rows.
type checker struct {
	json  bool
	least decode.Severity

	out      *bufio.Writer
	start    int64
	conns    map[capture.ConnID]*checked
	now      int64  // time of the newest event
	seq      uint64 // of rows, as everywhere
	frames   uint64
	opened   int
	counts   [decode.Error + 1]uint64
	withheld uint64
}

// checked is a connection in progress.
type checked struct {
	decoder *decode.Conn
	tracker *diagnose.Tracker
}

// run returns an error that sums up, if a diagnosis is an error.
func (c *checker) run(ctx context.Context, name string, std stdio) error {
	s, err := openSession(ctx, &options{read: name})
	if err != nil {
		return err
	}
	c.out = bufio.NewWriter(std.out)
	c.start = s.start
	unregister := context.AfterFunc(ctx, s.stop)
	err = c.read(ctx, s)
	if flushed := c.out.Flush(); flushed != nil {
		err = errors.Join(err, fmt.Errorf("writing lines: %w", flushed))
	}
	if unregister() {
		err = errors.Join(err, s.Close())
	}
	sum := fmt.Sprintf("%s, %s, %s in %s of %s",
		plural(c.counts[decode.Error], "error"), plural(c.counts[decode.Warning], "warning"),
		plural(c.counts[decode.Note], "note"), plural(c.frames, "frame"), plural(c.opened, "connection"))
	if c.withheld > 0 {
		sum += fmt.Sprintf("; %d more of the same are not listed", c.withheld)
	}
	if err == nil && c.counts[decode.Error] > 0 {
		return errors.New(sum) // printed, and exit status 1
	}
	say(std.stderr, "%s", sum)
	return err
}

func (c *checker) read(ctx context.Context, src capture.Source) error {
	c.conns = make(map[capture.ConnID]*checked)
	var failed error
	var conn *checked
	emit := func(d *diagnose.Diagnosis) {
		if err := c.print(d); err != nil && failed == nil {
			failed = err
		}
	}
	row := func(r *decode.Row) {
		c.seq++
		if r.Kind == decode.RowFrame {
			c.frames++
		}
		conn.tracker.Row(c.seq, r, emit)
	}
	var ev capture.Event
	for {
		err := src.Read(&ev)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			// In the order of their ids, so that the output is the same each time.
			for _, id := range slices.Sorted(maps.Keys(c.conns)) {
				conn = c.conns[id]
				conn.decoder.End(row)
				c.finish(id, emit)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, failed)
		}
		c.now = max(c.now, ev.Time)
		if conn = c.conns[ev.Conn]; conn == nil {
			conn = &checked{decode.NewConn(ev.Conn), diagnose.New(ev.Conn)}
			c.conns[ev.Conn] = conn
			c.opened++
		}
		conn.decoder.Feed(&ev, row)
		if ev.Kind == capture.Close {
			c.finish(ev.Conn, emit)
		}
		if failed != nil {
			return failed
		}
	}
}

func (c *checker) finish(id capture.ConnID, emit func(*diagnose.Diagnosis)) {
	if conn := c.conns[id]; conn != nil {
		conn.tracker.Finish(c.now, emit)
		c.withheld += conn.tracker.Withheld()
		delete(c.conns, id)
	}
}

func (c *checker) print(d *diagnose.Diagnosis) error {
	c.counts[d.Severity]++
	if d.Severity < c.least {
		return nil
	}
	if c.json {
		return c.printJSON(d)
	}
	where := d.Conn.String()
	if d.Stream != 0 {
		where += " stream " + strconv.FormatUint(uint64(d.Stream), 10)
	}
	_, err := fmt.Fprintf(c.out, "%-7s %s [%.3f] #%d %s %s: %s", d.Severity, where, float64(d.Time-c.start)/1e9, d.Seq, d.Direction, d.Code, d.Text)
	if err == nil && d.Section != "" {
		_, err = fmt.Fprintf(c.out, " (%s)", d.Section)
	}
	if err == nil {
		err = c.out.WriteByte('\n')
	}
	return err
}

// jsonDiagnosis is the line of a diagnosis, documented in docs/check.md.
type jsonDiagnosis struct {
	Kind      string `json:"kind"`
	Code      string `json:"code"`
	Severity  string `json:"severity"`
	Seq       uint64 `json:"seq"`
	Time      string `json:"time"`
	Conn      string `json:"conn"`
	Direction string `json:"dir"`
	Stream    uint32 `json:"stream"`
	Text      string `json:"text"`
	Section   string `json:"section,omitempty"`
}

func (c *checker) printJSON(d *diagnose.Diagnosis) error {
	line, err := json.Marshal(jsonDiagnosis{
		Kind: "diagnosis", Code: d.Code, Severity: d.Severity.String(), Seq: d.Seq,
		Time: time.Unix(0, d.Time).UTC().Format(time.RFC3339Nano), Conn: d.Conn.String(),
		Direction: d.Direction.String(), Stream: d.Stream, Text: d.Text, Section: d.Section,
	})
	if err == nil {
		_, err = c.out.Write(append(line, '\n'))
	}
	return err
}

// checkFormat is a format of diagnoses: JSON or not.
type checkFormat bool

func (v *checkFormat) Type() string { return "FORMAT" }
func (v *checkFormat) String() string {
	if *v {
		return "json"
	}
	return "text"
}
func (v *checkFormat) Set(s string) error {
	switch s {
	case "text", "json":
		*v = s == "json"
		return nil
	}
	return errors.New("the formats are text and json")
}

// severityFlag is a decode.Severity by name.
type severityFlag decode.Severity

func (v *severityFlag) Type() string   { return "SEVERITY" }
func (v *severityFlag) String() string { return decode.Severity(*v).String() }
func (v *severityFlag) Set(s string) error {
	for sev := decode.Note; sev <= decode.Error; sev++ {
		if s == sev.String() {
			*v = severityFlag(sev)
			return nil
		}
	}
	return errors.New("the severities are note, warning and error")
}
