"""What the command line shows as one clear line, without a traceback."""


class PipelineError(Exception):
    """Something the user can put right; the message says what was given, what is allowed, and where."""


class JobError(RuntimeError):
    """A job of `run_jobs` raised, or its worker died; the message names the job and its settings."""
