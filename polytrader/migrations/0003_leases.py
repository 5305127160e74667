from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('polytrader', '0002_alerts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('name', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('holder', models.CharField(max_length=120)),
                ('renewed_at', models.DateTimeField()),
            ],
        ),
    ]
