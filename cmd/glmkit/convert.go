package main

import (
	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
)

type convertOptions struct {
	config    *configs.Config
	from, out string
	positions int
}

func newConvert(s streams) *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert FROM OUT",
		Short: "Turn a checkpoint of any form into one that Hugging Face's tools open",
		Long: `Write the weights at FROM into the new folder OUT: model.safetensors with the
names of the released checkpoints, config.json, and the vocabulary where FROM
has one. Element types stay as they are. FROM, like --from of glmkit train, is
one of

  a run of "glmkit train", or one of its checkpoints
  a checkpoint of the GLM repository: the folder with
    latest_checkpointed_iteration.txt, an iteration's folder or one file of it;
    the parts of model parallelism (mp_rank_00…, mp_rank_01…) are joined
  a folder of Hugging Face's, a GLM's (THUDM/glm-*) or a BERT's:
    model.safetensors or pytorch_model.bin, in one file or several with an
    index, with config.json; or one such file

Files are read without running anything of them, and refused where a size in
them cannot be. A checkpoint of the GLM repository does not say how many
attention heads it has: --config with a preset of the same layers and hidden
size does; otherwise each is taken to have 64 numbers, as in all released models.

--positions lengthens the position tables. The new rows are drawn with train.seed,
as "train --from" draws them: the model must learn them before they are of use.`,
		Example: `  glmkit convert glm-large-blank/ glm-large/
  glmkit convert --positions 1024 glm-large-blank/ glm-large-1024/
  glmkit convert runs/bert bert-mine/`,
		Args: cobra.ExactArgs(2),
	}
	load := addConfigFlags(cmd, "glm-small")
	cmd.Flags().IntVar(&o.positions, "positions", 0, "lengthen the position tables to so many (default: as they are)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.positions < 0 || o.positions == 0 && cmd.Flags().Changed("positions") {
			return &configs.Error{Field: "--positions", Msg: "must be at least 1", Hint: "--positions 1024"}
		}
		if o.config, err = load(); err != nil {
			return err
		}
		o.from, o.out = args[0], args[1]
		return convert(cmd.Context(), s, o)
	}
	return cmd
}
