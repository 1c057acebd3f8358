package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// LaTeX writes the table for \input in a paper: booktabs' rules, no package else.
// Values stand above the longer arms of their intervals; notes and method follow
// the table, so that a caption need not repeat them.
func (t *Table) LaTeX(w io.Writer) error {
	settings, err := t.Made.settings()
	if err != nil {
		return err
	}
	out := &bytes.Buffer{}
	columns := t.taskColumns()
	fmt.Fprintf(out, "%% %s%s\n%% Needs \\usepackage{booktabs}.\n", settingsMark, settings)
	fmt.Fprint(out, "\\begin{table*}\n\\centering\\small\\setlength{\\tabcolsep}{3pt}\n")
	fmt.Fprintf(out, "\\begin{tabular}{@{}l%s@{}}\n\\toprule\n", strings.Repeat("r", len(columns)))
	tasks, metrics := "", ""
	for _, c := range columns {
		tasks += " & " + texText(c.task)
		metrics += " & " + texText(c.metrics)
	}
	fmt.Fprintf(out, "%s \\\\\n%s \\\\\n\\midrule\n", tasks, metrics)
	above := t.chance()
	t.texRows(out, columns, above)
	for _, rows := range [][]Row{t.Measured, t.Differences} {
		if len(above) > 0 && len(rows) > 0 {
			fmt.Fprint(out, "\\midrule\n")
		}
		above = rows
		t.texRows(out, columns, rows)
	}
	if len(t.Published) > 0 {
		fmt.Fprintf(out, "\\midrule\n\\multicolumn{%d}{@{}l@{}}{\\emph{Published, not measured here}} \\\\\n", len(columns)+1)
		t.texRows(out, columns, t.Published)
	}
	fmt.Fprintf(out, "\\bottomrule\n\\end{tabular}\n\\caption{Measured on the %s split. %s.}\n", texText(t.Split), texText(t.legend("bold:")))
	fmt.Fprint(out, "\\par\\raggedright\\footnotesize\n")
	for _, line := range append(append(append([]string{}, t.Conclusions...), t.notes()...), t.Method...) {
		fmt.Fprintf(out, "%s\\par\n", texText(line))
	}
	fmt.Fprintf(out, "\\end{table*}\n%% %s\n", endMark)
	_, err = w.Write(out.Bytes())
	return err
}

func (t *Table) texRows(w io.Writer, columns []taskColumn, rows []Row) {
	s := style{dress: func(c *Cell, value string) string {
		value = texText(value)
		if c != nil && c.Test != nil && c.Value < 0 {
			value = strings.Replace(value, "-", "$-$", 1) // a minus is longer than a hyphen
		}
		if c != nil && c.Best {
			return `\textbf{` + value + "}"
		}
		return value
	}, footer: texText}
	for _, row := range rows {
		line, below := texText(row.Name), ""
		measured := false
		for _, c := range columns {
			values, reaches := t.join(row, c, s)
			line += " & " + values
			below += " & "
			if reaches != "" {
				below += `{\scriptsize ` + texText(reaches) + "}"
				measured = true
			}
		}
		fmt.Fprintf(w, "%s \\\\\n", line)
		if measured {
			fmt.Fprintf(w, "%s \\\\\n", below)
		}
	}
}

// texText writes text so that LaTeX prints it: its special characters, and the
// table's marks, which no text font has.
func texText(text string) string { return texEscape.Replace(text) }

var texEscape = strings.NewReplacer(
	`\`, `\textbackslash{}`, "{", `\{`, "}", `\}`, "$", `\$`, "&", `\&`, "#", `\#`, "%", `\%`, "_", `\_`,
	"^", `\textasciicircum{}`, "~", `$^{\sim}$`, "*", `$^{*}$`, "↓", `$^{\downarrow}$`, "±", `$\pm$`, "<", `$<$`, ">", `$>$`, "|", `$|$`,
	"–", "--", "--", `-{}-`, `"`, "''", "˒", `\textsuperscript{,}`,
	"⁰", `\textsuperscript{0}`, "¹", `\textsuperscript{1}`, "²", `\textsuperscript{2}`, "³", `\textsuperscript{3}`, "⁴", `\textsuperscript{4}`,
	"⁵", `\textsuperscript{5}`, "⁶", `\textsuperscript{6}`, "⁷", `\textsuperscript{7}`, "⁸", `\textsuperscript{8}`, "⁹", `\textsuperscript{9}`,
)
