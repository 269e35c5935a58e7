// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/cmd/h2sniff/privilege"
	"h2sniff/decode/content"
	"h2sniff/decode/har"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
)

// exportLimits are for an archive: whole bodies, as far as memory allows and what
// reads an archive can take.
var exportLimits = content.Limits{Body: 16 << 20, Held: 512 << 20, Decoded: 16 << 20}

// exportHistory has room for the rows of one event, which are taken before the
// next is read.
const exportHistory = 128 << 20

// exportBody is how much of one body an archive holds, as the help says it.
const exportBody = "16 MiB"

func newExport(std stdio) *cobra.Command {
	var o options
	format := "har"
	cmd := &cobra.Command{
		Use:   "export -r FILE [--format har|json|pcapng] -w OUT",
		Short: "Turn a recording into an HTTP archive (HAR), JSON lines or a new recording",
		Long: `export turns a recording into a file for other programs:

  har     an HTTP archive, HAR 1.2, for the developer tools of browsers: a request and
          its response an entry, bodies decoded (at most ` + exportBody + ` of each), times from
          the frames; what is not known is marked and never guessed
  json    the lines of "dump --format json --body"
  pcapng  the recording, written anew`,
		Example: `  h2sniff export -r x.pcapng -w x.har
  h2sniff export -r x.pcapng --format json -w - | jq .`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.read == "":
				return usageError{errors.New("export needs -r FILE")}
			case o.write == "":
				return usageError{errors.New("export needs -w OUT")}
			}
			if err := o.redact.check(); err != nil {
				return err
			}
			if err := privilege.Forgo(); err != nil {
				return err
			}
			return runExport(cmd.Context(), &o, format, std)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.read, "read", "r", "", "the recording `FILE` (- for standard input)")
	f.StringVarP(&o.write, "write", "w", "", "write to `OUT` (mode 0600; - for standard output)")
	f.BoolVar(&o.force, "force", false, "replace OUT if it is there")
	f.StringVar(&format, "format", format, "`FORMAT` of OUT: har, json or pcapng")
	completeFlag(cmd, "format", "har", "json", "pcapng")
	addRedactFlags(f, &o.redact)
	return cmd
}

func runExport(ctx context.Context, o *options, format string, std stdio) error {
	switch format {
	case "har", "json", "pcapng":
	default:
		return usageError{fmt.Errorf("%q is none of the formats har, json, pcapng", format)}
	}
	if o.write != "-" && sameAsInput(o.read, o.write) {
		return usageError{errors.New("-r and -w name the same file")}
	}
	s, err := openSession(ctx, o)
	if err != nil {
		return err
	}
	if format == "pcapng" {
		return exportRecording(ctx, o, s, std)
	}
	out, err := createExport(o, std)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	buffered := bufio.NewWriterSize(out, 256<<10)
	st := store.New(store.Options{History: exportHistory})
	p := &pump{src: s, store: st}
	finish := func() error { return nil }
	var missed *uint64
	if format == "har" {
		h := newHARExporter(buffered, st)
		p.after, finish, missed = h.take, h.close, &h.missed
	} else {
		j := newPrinter(buffered, &options{format: lines.JSON, body: true}, s.start, st)
		p.after, missed = j.print, &j.missed
	}
	ended := runSession(ctx, s, p, nil)
	failed := joinOnce(finish(), buffered.Flush())
	if c, ok := out.(io.Closer); ok && o.write != "-" {
		failed = joinOnce(failed, c.Close())
	}
	if failed != nil {
		return joinOnce(ended, failed, s.Close())
	}
	err = ended
	summarise(std.stderr, st.Snapshot(), s.Stats(), coverage{})
	if *missed > 0 {
		say(std.stderr, "%d rows of single calls larger than the history are not in the export", *missed)
	}
	return errors.Join(err, s.Close())
}

// harExporter turns the rows of a store into an archive as they come.
type harExporter struct {
	follower
	collector *content.Collector
	writer    *har.Writer
	err       error
}

func newHARExporter(w io.Writer, st *store.Store) *harExporter {
	h := &harExporter{
		follower: follower{store: st},
		writer:   har.NewWriter(w, har.Options{Version: version(), Limits: exportLimits}),
	}
	h.collector = content.NewCollector(exportLimits, nil, func(x *content.Exchange) {
		if h.err == nil {
			h.err = h.writer.Add(x)
		}
	})
	return h
}

// take takes in the rows that are new in the store.
func (h *harExporter) take() error {
	err := h.read(func(e *store.Entry) error {
		h.collector.Add(e.Seq, &e.Row)
		return h.err
	}, func(rows uint64) error {
		h.collector.Missed(rows)
		return h.err
	})
	if err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}

func (h *harExporter) close() error {
	h.collector.Flush()
	return joinOnce(h.err, h.writer.Close())
}

// joinOnce is errors.Join without what was said before: a writer that has failed
// returns its error again and again.
func joinOnce(errs ...error) error {
	var all []error
	for _, err := range errs {
		said := func(before error) bool { return strings.Contains(before.Error(), err.Error()) }
		if err != nil && !slices.ContainsFunc(all, said) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// createExport creates the file of an export.
func createExport(o *options, std stdio) (io.Writer, error) {
	if o.write == "-" {
		return std.out, nil
	}
	caller, err := recordingOwner()
	if err != nil {
		return nil, err
	}
	f, err := recording.NewFile(o.write, o.force, caller)
	if err != nil {
		return nil, fmt.Errorf("creating the export: %w", withForce(err))
	}
	return f, nil
}

// exportRecording writes the events of a source as a new recording.
func exportRecording(ctx context.Context, o *options, s *session, std stdio) error {
	w, err := o.createRecording(s.start)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer context.AfterFunc(ctx, s.stop)()
	var ev capture.Event
	events := uint64(0)
	for {
		if err = s.Read(&ev); err != nil {
			break
		}
		if err = w.Write(&ev); err != nil {
			err = fmt.Errorf("writing the recording: %w", err)
			break
		}
		events++
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	w.SetStats(s.Stats())
	if failed := w.Close(); failed != nil {
		return joinOnce(err, failed, s.Close())
	}
	say(std.stderr, "%s written", plural(events, "event"))
	return errors.Join(err, s.Close())
}
